"""The file systems that pixmill writes to: room, rights, speed, and whether they can link files."""

import errno
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.doctor.findings import Finding, ok, problem, warning
from client.wording import size
from storage.disk import PROBE_BYTES
from storage.faults import named_faults

if TYPE_CHECKING:
    from pixmill.settings import Settings

PART = "disk"
LOW_BYTES, SCARCE_BYTES = 1_000_000_000, 3_000_000_000  # problem, warning
SCARCE_SHARE = 0.05  # of the inodes
SLOW_SECONDS = 1.0
WRITES = 2  # of which the quicker counts
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "afs", "ceph", "lustre"})


@dataclass(frozen=True, kw_only=True)
class Place:
    """One folder that was examined."""

    name: str  # what pixmill keeps there
    folder: Path
    exists: bool
    free_bytes: int
    inodes: int  # 0: the file system does not count them
    free_inodes: int
    write_seconds: float | None = None  # a small file, until it was safe
    links: bool | None = None


def places(settings: "Settings") -> dict[Path, str]:
    """Folder → what pixmill keeps there."""
    named = [(settings.storage_root, "storage"), (settings.home, "home"), (Path(tempfile.gettempdir()), "temp")]
    found: dict[Path, str] = {}
    for folder, name in named:
        found[folder] = f"{found[folder]} and {name}" if folder in found else name
    return found


def measure(folder: Path, name: str) -> Place:
    """Look at the file system, and write, link and remove a small file there unless the folder is yet to be made.

    Raises DiskFull, PermissionDenied or StorageError.
    """
    nearest = folder
    with named_faults(folder, "examine"):
        while not nearest.exists():
            nearest = nearest.parent
        found = os.statvfs(nearest)
    seconds, links = _write(folder) if nearest == folder else (None, None)
    return Place(
        name=name,
        folder=folder,
        exists=nearest == folder,
        free_bytes=found.f_bavail * found.f_frsize,
        inodes=found.f_files,
        free_inodes=found.f_favail,
        write_seconds=seconds,
        links=links,
    )


def _write(folder: Path) -> tuple[float, bool]:
    """The seconds that a small file takes to be safe, and whether it can be linked."""
    first, second = (folder / f".pixmill-doctor-{secrets.token_hex(6)}" for _ in range(2))
    with named_faults(folder, "write in"):
        try:
            seconds = min(_write_once(first) for _ in range(WRITES))
            return seconds, _can_link(first, second)
        finally:
            for path in (first, second):
                path.unlink(missing_ok=True)


def _write_once(path: Path) -> float:
    started = time.perf_counter()
    with path.open("wb") as file:
        file.write(bytes(PROBE_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - started


def _can_link(first: Path, second: Path) -> bool:
    try:
        os.link(first, second)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
        return False
    return True


def examine_place(place: Place) -> Iterator[Finding]:
    """What was measured, and what is wrong about it."""
    facts = [f"{size(place.free_bytes)} free"]
    if place.inodes:
        facts.append(f"{place.free_inodes:,} inodes free ({100 * place.free_inodes // place.inodes}%)")
    if place.write_seconds is not None:
        facts.append(f"4 kB are safe in {place.write_seconds * 1000:.1f} ms")
    text = f"{place.name}: {', '.join(facts)}, {place.folder}{'' if place.exists else ' (yet to be made)'}"
    remedy = f"free space on the file system of {place.folder}"
    if place.free_bytes < LOW_BYTES:
        yield problem(PART, text, f"{remedy}: pixmill gc plan")
    elif place.free_bytes < SCARCE_BYTES:
        yield warning(PART, text, f"{remedy}: pixmill gc plan")
    elif place.inodes and place.free_inodes < SCARCE_SHARE * place.inodes:
        yield warning(PART, text, f"{remedy}: it runs out of inodes, of which every file takes one")
    elif place.write_seconds is not None and place.write_seconds > SLOW_SECONDS:
        yield warning(PART, f"{text}: slow", "look for load on that disk; every claim and checkpoint waits for it")
    else:
        yield ok(PART, text)


def examine_links(place: Place, root: Path) -> Iterator[Finding]:
    """Whether a data set's shards can be the very files of the attempts that made them."""
    runs, outputs = root / "runs", root / "outputs"
    if runs.exists() and outputs.exists() and runs.stat().st_dev != outputs.stat().st_dev:
        detail = f"{runs} and {outputs} lie on two file systems: shards are copied, which takes twice the space"
        yield warning(PART, detail, "let both lie below one storage.root, without mounts in between")
    elif place.links is False:
        detail = f"the file system of {root} has no hard links: shards are copied, which takes twice the space"
        yield warning(PART, detail, "use a file system with hard links for storage.root")


def examine_remote(file: Path, mounts: Path = Path("/proc/self/mounts")) -> Iterator[Finding]:
    """Whether the embedded database lies on a network file system, where SQLite's locks are not to be trusted."""
    kind = _kind_of_file_system(file, mounts)
    if kind in REMOTE:
        detail = f"{file} lies on a network file system ({kind}): SQLite may lose data there"
        yield problem("database", detail, "move the home to a local disk, or use PostgreSQL: database.url")


def _kind_of_file_system(path: Path, mounts: Path) -> str:
    best, kind = -1, ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _device, where, found, *_ = line.split(" ")
        folder = Path(where.replace("\\040", " "))
        if path.absolute().is_relative_to(folder) and len(folder.parts) >= best:
            best, kind = len(folder.parts), found
    return kind

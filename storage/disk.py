"""Room and rights on the file system that holds the storage root."""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from pixmill.errors import DiskFull
from storage.faults import named_faults

PROBE_BYTES = 4096  # one block: an empty file can be made on a full disk


def free_bytes(path: Path) -> int:
    """Bytes that this account may still write on the file system of `path`, which need not exist yet.

    Raises StorageError if no folder above `path` can be examined.
    """
    return file_system(path)[0]


def file_system(path: Path) -> tuple[int, int]:
    """Free bytes and size of the file system of `path`, which need not exist yet.  Raises as `free_bytes`."""
    nearest = path.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    with named_faults(nearest, "examine"):
        usage = shutil.disk_usage(nearest)
    return usage.free, usage.total


def check_writable(root: Path, *, needed_bytes: int = 0) -> None:
    """Make `root` if it is missing and prove, by writing a block, that files can be kept there.

    Raises PermissionDenied if the folder refuses, DiskFull if it has no room (or less than `needed_bytes`),
    StorageError if `root` is not a folder.
    """
    with named_faults(root, "make folder"):
        root.mkdir(parents=True, exist_ok=True)
    with named_faults(root, "write in"), tempfile.TemporaryFile(dir=root) as probe:
        probe.write(bytes(PROBE_BYTES))
        probe.flush()
        os.fsync(probe.fileno())
    available = free_bytes(root)
    if available < needed_bytes:
        raise DiskFull(
            f"{root} has {available / 1e6:,.0f} MB free, {needed_bytes / 1e6:,.0f} MB are needed",
            hint="free space on that file system or move the storage root",
        )


def folder_bytes(path: Path, *, until: float | None = None) -> tuple[int, bool]:
    """The sizes of all files below `path`, and whether all were counted by `until` (`time.monotonic`).

    No link is followed; what is not there, or vanishes meanwhile, counts as nothing. Raises PermissionDenied or
    StorageError.
    """
    total, folders = 0, [os.fspath(path)]
    while folders:
        if until is not None and time.monotonic() > until:
            return total, False
        folder = folders.pop()
        with named_faults(Path(folder), "read"), suppress(FileNotFoundError, NotADirectoryError):
            size_bytes, inner = _scan(folder)
            total += size_bytes
            folders += inner
    return total, True


def _scan(folder: str) -> tuple[int, list[str]]:
    """The sizes of the files in a folder, and the folders in it."""
    size_bytes, folders = 0, []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                with suppress(FileNotFoundError):
                    size_bytes += entry.stat(follow_symlinks=False).st_size
    return size_bytes, folders

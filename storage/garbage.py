"""Files below runs/ that nobody needs any more: found, judged by what the database says, and removed.

An attempt writes into a folder of its own, and what is published refers to it by rows. An epoch is never given twice,
so a folder that is not live, and that no row refers to, stays so: deleting it can wait, and can be repeated.
"""

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from math import inf
from pathlib import Path

from pixmill.errors import StorageError
from storage.atomic import TEMPORARY_SUFFIX
from storage.faults import named_faults

RUNS = "runs"
TRASH_PREFIX = ".trash-"
# What `logs` and `report` put together from all attempts of a task, the older ones too.
HISTORY = ("log.txt", "log-*.txt", "journal.jsonl", "losses.jsonl", "quality.jsonl", "reals.png", "samples-*.png")
# What an attempt writes to be published by a row, and is of no use without one.
PUBLISHABLE = (
    "state-*.pt",
    "best-*",
    "shard-*.json",
    "shard-*.tar",
    "shard-*.npy",
    "shard-*.parquet",
    "files",
    "model",
)

MODEL, CARD = "model", "model.json"  # folder of a finished model, and what is written last into it

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")  # an id or epoch, as `Layout` writes it
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Standing(StrEnum):
    """What an attempt's folder is to the database."""

    LIVE = "live"  # a worker writes there now
    PUBLISHED = "published"  # rows refer into it
    LATEST = "latest"  # the newest attempt of its task
    LEFT = "left"  # an older attempt that nothing refers to
    ORPHAN = "orphan"  # no attempt row knows it


class Waste(StrEnum):
    """Why something may go."""

    LEFT = "left"
    ORPHAN = "orphan"
    UNPUBLISHED = "unpublished"  # a checkpoint or shard without its row, in a folder that stays
    TEMPORARY = "temporary"  # a file that a killed writer left half written
    TRASH = "trash"  # a removal that was interrupted


@dataclass(frozen=True)
class AttemptFolder:
    """The folder runs/<job>/<task>/<epoch>."""

    job_id: int
    task_id: int
    epoch: int

    @property
    def parts(self) -> tuple[str, ...]:
        """The names on the way from the storage root."""
        return (RUNS, str(self.job_id), str(self.task_id), str(self.epoch))

    @property
    def path(self) -> str:
        """The path below the storage root, as rows spell it."""
        return "/".join(self.parts)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What rows say about one attempt's folder."""

    has_attempt: bool
    is_live: bool = False
    is_latest: bool = False
    has_ended: bool = False  # its task
    needed: frozenset[str] = frozenset()  # root-relative files, and folders with all that is in them

    def protects(self, path: str) -> bool:
        """Whether a row needs the file, something in the folder, or a folder that it lies in."""
        return path in self._folders_of_needed or any(upper in self.needed for upper in _upwards(path))

    @cached_property
    def _folders_of_needed(self) -> frozenset[str]:
        return frozenset(upper for path in self.needed for upper in _upwards(path))

    def standing(self, folder: AttemptFolder) -> Standing:
        """What the folder is to the database."""
        if self.is_live:
            return Standing.LIVE
        if self.protects(folder.path):
            return Standing.PUBLISHED
        if not self.has_attempt:
            return Standing.ORPHAN
        return Standing.LATEST if self.is_latest else Standing.LEFT


def _upwards(path: str) -> Iterator[str]:
    """The path, and every folder above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]


@dataclass(frozen=True)
class Usage:
    """How much there is: files, and their sizes."""

    files: int = 0
    size_bytes: int = 0

    @classmethod
    def total(cls, usages: Iterable["Usage"]) -> "Usage":
        """How much all of them are."""
        return sum(usages, cls())

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.files + other.files, self.size_bytes + other.size_bytes)

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.files - other.files, self.size_bytes - other.size_bytes)


@dataclass(frozen=True, kw_only=True)
class Scrap:
    """One file or folder that may go."""

    parts: tuple[str, ...]  # below the storage root
    waste: Waste
    usage: Usage

    @property
    def path(self) -> str:
        """The path below the storage root."""
        return "/".join(self.parts)


@dataclass(frozen=True, kw_only=True)
class JobFolders:
    """What lies below runs/<job>."""

    job_id: int
    attempts: tuple[AttemptFolder, ...]
    trash: tuple[Scrap, ...]  # folders whose removal was interrupted
    strangers: tuple[str, ...]  # root-relative; not made by pixmill, and left alone


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What something is to the database, how much it is, and what of it may go."""

    standing: Standing
    whole: Usage
    scraps: tuple[Scrap, ...] = ()
    is_young: bool = False  # an orphan within its time of grace
    is_later: bool = False  # an orphan that may be of a later database than this one, as nobody has said otherwise
    is_published: bool = False  # an orphan that holds a model, or a data set in a bucket: somebody may want it

    @property
    def waste(self) -> Usage:
        """How much may go."""
        return Usage.total(scrap.usage for scrap in self.scraps)


@dataclass(frozen=True, kw_only=True)
class Judgement(Verdict):
    """The verdict over one attempt's folder."""

    folder: AttemptFolder


def list_jobs(root: Path) -> Iterator[int | str]:
    """Yield ids of the jobs that have a folder below runs/, and the paths of whatever else lies there.

    The entries come as the file system gives them, one at a time. Raises StorageError for a runs/ that is a link.
    """
    folder = root / RUNS
    if folder.is_symlink():
        raise StorageError(
            f"{folder} is a symbolic link, and links are not followed", hint="let storage.root name the real folder"
        )
    if not folder.exists():
        return
    with named_faults(folder, "read"), _open_folder(root, (RUNS,)) as descriptor, os.scandir(descriptor) as entries:
        for entry in entries:
            yield int(entry.name) if _is_numbered(entry) else f"{RUNS}/{entry.name}"


def list_attempts(root: Path, job_id: int) -> JobFolders:
    """Find what lies below runs/<job>; a folder that vanishes meanwhile is empty.  Raises StorageError."""
    attempts, trash, strangers = [], [], []
    top = (RUNS, str(job_id))
    for task in _entries(root, top):
        if not _is_numbered(task):
            strangers.append("/".join((*top, task.name)))
            continue
        for epoch in _entries(root, (*top, task.name)):
            parts = (*top, task.name, epoch.name)
            if _is_numbered(epoch):
                attempts.append(AttemptFolder(job_id, int(task.name), int(epoch.name)))
            elif epoch.name.startswith(TRASH_PREFIX) and epoch.is_dir(follow_symlinks=False):
                trash.append(Scrap(parts=parts, waste=Waste.TRASH, usage=_weigh(root.joinpath(*parts)).usage))
            else:
                strangers.append("/".join(parts))
    return JobFolders(job_id=job_id, attempts=tuple(attempts), trash=tuple(trash), strangers=tuple(strangers))


def judge(root: Path, folder: AttemptFolder, claims: Claims, *, cutoff: float, acknowledged: float = inf) -> Judgement:
    """Tell what of an attempt's folder may go.

    `cutoff` is a time (seconds since 1970): orphans and temporary files that were changed after it stay, since the
    row of what is being made may be on its way. Orphans that were changed after `acknowledged` stay as well: they may
    have their rows in a newer database than the one that was restored. So does a model, which no row may ever know.
    Raises StorageError if the folder cannot be read.
    """
    standing = claims.standing(folder)
    weight = _weigh(root.joinpath(*folder.parts))
    if standing is Standing.LIVE:
        return Judgement(folder=folder, standing=standing, whole=weight.usage)
    if standing is Standing.ORPHAN:
        scrap = Scrap(parts=folder.parts, waste=Waste.ORPHAN, usage=weight.usage)
        stays = {
            "is_young": weight.changed_at > cutoff,
            "is_later": weight.changed_at > acknowledged,
            "is_published": root.joinpath(*folder.parts, MODEL, CARD).is_file(),
        }
        scraps = () if any(stays.values()) else (scrap,)
        return Judgement(folder=folder, standing=standing, whole=weight.usage, scraps=scraps, **stays)
    found = _left(root, folder) if standing is Standing.LEFT else _unneeded(root, folder, claims, cutoff)
    return Judgement(folder=folder, standing=standing, whole=weight.usage, scraps=tuple(found))


def _left(root: Path, folder: AttemptFolder) -> Iterator[Scrap]:
    """Everything but the history."""
    for entry in _entries(root, folder.parts):
        is_file = entry.is_file(follow_symlinks=False)
        if not (is_file and _matches(entry.name, HISTORY)):
            waste = Waste.TRASH if entry.name.startswith(TRASH_PREFIX) else Waste.LEFT
            yield _scrap(root, folder, entry, waste)


def _unneeded(root: Path, folder: AttemptFolder, claims: Claims, cutoff: float) -> Iterator[Scrap]:
    """What no row vouches for, in a folder that stays.

    Only names that pixmill gives to what it publishes: of anything else nobody knows who needs it.
    """
    kept = []
    for entry in _entries(root, folder.parts):
        is_unpublished = claims.has_ended and _matches(entry.name, PUBLISHABLE)
        if entry.name.startswith(TRASH_PREFIX):
            yield _scrap(root, folder, entry, Waste.TRASH)
        elif is_unpublished and not claims.protects(f"{folder.path}/{entry.name}"):
            yield _scrap(root, folder, entry, Waste.UNPUBLISHED)
        else:
            kept.append(entry)
    if claims.has_ended:
        for entry in kept:
            yield from _temporary(root, (*folder.parts, entry.name), claims, cutoff)


def _temporary(root: Path, parts: tuple[str, ...], claims: Claims, cutoff: float) -> Iterator[Scrap]:
    """Half-written files, and folders of them, at or below `parts` that are older than `cutoff`."""
    path = root.joinpath(*parts)
    if fnmatchcase(parts[-1], f".*{TEMPORARY_SUFFIX}") and not claims.protects("/".join(parts)):
        weight = _weigh(path)
        if weight.changed_at <= cutoff:
            yield Scrap(parts=parts, waste=Waste.TEMPORARY, usage=weight.usage)
    elif path.is_dir() and not path.is_symlink():
        for entry in _entries(root, parts):
            yield from _temporary(root, (*parts, entry.name), claims, cutoff)


def _scrap(root: Path, folder: AttemptFolder, entry: "os.DirEntry[str]", waste: Waste) -> Scrap:
    parts = (*folder.parts, entry.name)
    return Scrap(parts=parts, waste=waste, usage=_weigh(root.joinpath(*parts)).usage)


def remove(root: Path, scraps: Iterable[Scrap]) -> Usage:
    """Delete files and folders; gives how much that was. What is gone already was removed by somebody else.

    A folder is renamed before it is emptied, so that nobody ever meets half of one under its name; an interrupted
    removal is found by its trash name, and goes with the next. No link is followed, in no part of the path. Raises
    PermissionDenied or StorageError.
    """
    removed = Usage()
    # The marker of a shard goes before the files that it vouches for.
    for scrap in sorted(scraps, key=lambda scrap: not scrap.path.endswith(".json")):
        with named_faults(root.joinpath(*scrap.parts), "remove"):
            try:
                with _open_folder(root, scrap.parts[:-1]) as descriptor:
                    _remove_entry(descriptor, scrap.parts[-1])
            except FileNotFoundError:
                continue
        removed += scrap.usage
    return removed


def _remove_entry(descriptor: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=descriptor)
    except IsADirectoryError:
        trash = name
        if not name.startswith(TRASH_PREFIX):
            trash = f"{TRASH_PREFIX}{secrets.token_hex(8)}"
            os.rename(name, trash, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        shutil.rmtree(trash, dir_fd=descriptor)


def remove_empty_folders(root: Path, job_id: int, task_id: int) -> None:
    """Remove the folders of a task and a job that hold nothing.

    Only for those without rows: in any other a worker may be about to make the folder of its attempt.
    """
    task = (RUNS, str(job_id), str(task_id))
    for parts in (task, task[:-1]):
        try:
            with _open_folder(root, parts[:-1]) as descriptor:
                os.rmdir(parts[-1], dir_fd=descriptor)
        except OSError:  # not empty, or gone
            return


def usage_of(path: Path) -> Usage:
    """How much lies at and below a path; nothing where there is none.  Raises StorageError."""
    return _weigh(path).usage


@dataclass(frozen=True)
class _Weight:
    """What lies at a path, and when it was last changed (seconds since 1970)."""

    usage: Usage
    changed_at: float


def _weigh(path: Path) -> _Weight:
    """Count what lies at and below a path without following links; what vanishes meanwhile counts as nothing."""
    with named_faults(path, "examine"):
        try:
            found = path.lstat()
        except FileNotFoundError:
            return _Weight(Usage(), 0.0)
        if not stat.S_ISDIR(found.st_mode):
            return _Weight(Usage(1, found.st_size), found.st_mtime)
        return _weigh_folder(os.fspath(path), found.st_mtime)


def _weigh_folder(path: str, changed_at: float) -> _Weight:
    files, size_bytes = 0, 0
    with suppress(FileNotFoundError), os.scandir(path) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                inner = _Weight(Usage(1, found.st_size), found.st_mtime)
                if stat.S_ISDIR(found.st_mode):
                    inner = _weigh_folder(entry.path, found.st_mtime)
                files, size_bytes = files + inner.usage.files, size_bytes + inner.usage.size_bytes
                changed_at = max(changed_at, inner.changed_at)
    return _Weight(Usage(files, size_bytes), changed_at)


def _entries(root: Path, parts: tuple[str, ...]) -> list["os.DirEntry[str]"]:
    path = root.joinpath(*parts)
    with named_faults(path, "read"):
        try:
            with os.scandir(path) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []


def _is_numbered(entry: "os.DirEntry[str]") -> bool:
    return bool(_NUMBER.fullmatch(entry.name)) and entry.is_dir(follow_symlinks=False)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@contextmanager
def _open_folder(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """Open a folder below the root, step by step, so that no link on the way leads elsewhere."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)

"""Folders of attempts, and the way down to what lies in them, on which no link is followed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.faults import named_faults

RUNS = "runs"
TRASH_PREFIX = ".trash-"  # of a folder that is being removed

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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


def list_entries(root: Path, parts: tuple[str, ...]) -> list["os.DirEntry[str]"]:
    """What lies in a folder, by name; nothing where there is none.  Raises StorageError or PermissionDenied."""
    path = root.joinpath(*parts)
    with named_faults(path, "read"):
        try:
            with os.scandir(path) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []


@contextmanager
def open_folder(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
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

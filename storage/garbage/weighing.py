"""How much lies at a path, and when it was last changed."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.faults import named_faults


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


def usage_of(path: Path) -> Usage:
    """How much lies at and below a path; nothing where there is none.  Raises StorageError."""
    return weigh(path).usage


@dataclass(frozen=True)
class Weight:
    """What lies at a path, and when it was last changed (seconds since 1970)."""

    usage: Usage
    changed_at: float


def weigh(path: Path) -> Weight:
    """Count what lies at and below a path without following links; what vanishes meanwhile counts as nothing."""
    with named_faults(path, "examine"):
        try:
            found = path.lstat()
        except FileNotFoundError:
            return Weight(Usage(), 0.0)
        if not stat.S_ISDIR(found.st_mode):
            return Weight(Usage(1, found.st_size), found.st_mtime)
        return _weigh_folder(os.fspath(path), found.st_mtime)


def _weigh_folder(path: str, changed_at: float) -> Weight:
    files, size_bytes = 0, 0
    with suppress(FileNotFoundError), os.scandir(path) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                inner = Weight(Usage(1, found.st_size), found.st_mtime)
                if stat.S_ISDIR(found.st_mode):
                    inner = _weigh_folder(entry.path, found.st_mtime)
                files, size_bytes = files + inner.usage.files, size_bytes + inner.usage.size_bytes
                changed_at = max(changed_at, inner.changed_at)
    return Weight(Usage(files, size_bytes), changed_at)

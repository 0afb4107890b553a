"""What an attempt's folder is to the database, and what of it may go."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from storage.garbage.folders import AttemptFolder
from storage.garbage.weighing import Usage


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

"""What a format of shards has to do: take image files one batch after the other, and give back any of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from storage.atomic import FileDigest, sha256_file
from storage.batches import EncodedBatch
from storage.manifest import ShardRow
from storage.markers import ShardMeta
from storage.records import CONTAINERS, ShardRecord, shard_stem


@dataclass(frozen=True)
class NamedDigest:
    """One file of a shard: its name below the folder, and what it must hold."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What is known of a shard before its first image."""

    folder: Path
    number: int
    meta: ShardMeta
    ending: str  # of the names of image files
    count: int | None  # images that will come; None: nobody has said

    def path(self, format_name: str) -> Path:
        """Where the images go."""
        return self.folder / CONTAINERS[format_name].format(stem=shard_stem(self.number))


class ImageWriter(ABC):
    """Takes the images of one shard; nothing has a final name before `finish`."""

    @abstractmethod
    def add(self, batch: EncodedBatch) -> Sequence[int]:
        """Append images; gives the offset of each, as the format counts it.  Raises DiskFull or StorageError."""

    @abstractmethod
    def finish(self) -> FileDigest:
        """Make the images durable, and give them their names."""

    @abstractmethod
    def discard(self) -> None:
        """Remove what has no final name yet; harmless after `finish`."""


class ImageReader(AbstractContextManager["ImageReader"], ABC):
    """The images of one finished shard."""

    @abstractmethod
    def read(self, row: ShardRow) -> bytes:
        """The bytes of one image, not compared with its hash.  Raises CorruptFile if there are none."""

    @abstractmethod
    def holds(self, row: ShardRow) -> bool:
        """Whether there is room for the image where its row says that it lies."""

    def framing_problem(self, row: ShardRow) -> str | None:  # noqa: ARG002  most formats have no frames
        """What is wrong with that which surrounds the image; None: nothing."""
        return None


class Format(ABC):
    """One way to store the images of a shard."""

    name: ClassVar[str]
    stray_pattern: ClassVar[str | None] = None  # finds files that belong to no shard; None: their names tell

    @abstractmethod
    def begin(self, beginning: Beginning) -> ImageWriter:
        """Start a shard.  Raises DiskFull, PermissionDenied or StorageError."""

    @abstractmethod
    def open(self, folder: Path, record: ShardRecord) -> ImageReader:
        """Open a shard.  Raises CorruptFile if it is missing or cannot be read at all."""

    def files(self, folder: Path, record: ShardRecord) -> Sequence[NamedDigest]:  # noqa: ARG002  a table may tell
        """The files that hold the images.  Raises CorruptFile if that cannot be told."""
        return [NamedDigest(record.tar, record.tar_sha256, record.tar_bytes)]

    def problems(self, folder: Path, record: ShardRecord) -> Iterator[str]:
        """One line for each file that is not the one recorded; of what is in it, `open` tells."""
        for file in self.files(folder, record):
            yield from file_problems(folder / file.name, file.sha256, file.size_bytes)


def file_problems(path: Path, sha256: str, size_bytes: int) -> Iterator[str]:
    """One line if a file is missing, or is not the one recorded."""
    if not path.is_file():
        yield f"{path.name} is missing"
    elif path.stat().st_size != size_bytes:
        yield f"{path.name} has {path.stat().st_size:,} bytes, recorded {size_bytes:,}"
    elif sha256_file(path) != sha256:
        yield f"{path.name} has changed: its SHA-256 is not the one recorded"

"""Images on their way into a shard: as pixels, and as the files that were made of them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pixmill.errors import StorageError
from storage.choices import Choices
from storage.manifest import Edit, Integers
from storage.png import Images, check_images

CHUNK_BYTES = 1024 * 1024  # of pixels encoded at a time: memory stays flat whatever the size of a batch


@dataclass(frozen=True)
class ImageBatch:
    """Consecutive images of a data set.

    images: uint8, (N, H, W, C), C = 1 or 3; seeds: integers, (N,); labels: class numbers, (N,), or None; edits: what
    was done to make each, N of them, or None; choices: how each was chosen, N of them, or None.
    Raises StorageError if types or lengths differ.
    """

    first_index: int
    images: Images
    seeds: Integers
    labels: Integers | None = None
    edits: Sequence[Edit] | None = None
    choices: Choices | None = None

    def __post_init__(self) -> None:
        check_images(self.images)
        for name, facts in (("edits", self.edits), ("choices", self.choices)):
            if facts is not None and len(facts) != len(self.images):
                raise StorageError(f"{len(self.images)} images came with {len(facts)} {name}", hint="one for each")
        for name, values in (("seeds", self.seeds), ("labels", self.labels)):
            if values is None:
                continue
            if values.shape != (len(self.images),) or not np.can_cast(values.dtype, np.int64):
                raise StorageError(
                    f"{len(self.images)} images came with {name} of type {values.dtype} and shape {values.shape}",
                    hint="give one integer that fits 64 signed bits for each image",
                )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of each image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def chunks(self) -> "Iterator[ImageBatch]":
        """Cut into batches of at most CHUNK_BYTES, one image at least."""
        step = max(1, CHUNK_BYTES // (self.images[:1].nbytes or 1))
        for start in range(0, len(self), step):
            part = slice(start, start + step)
            labels = None if self.labels is None else self.labels[part]
            edits = None if self.edits is None else self.edits[part]
            choices = None if self.choices is None else self.choices.part(part)
            yield ImageBatch(self.first_index + start, self.images[part], self.seeds[part], labels, edits, choices)


@dataclass(frozen=True)
class EncodedBatch:
    """The same as files, one an image; of format `raw`, its pixels row by row."""

    first_index: int
    shape: tuple[int, int, int]  # height, width and channels of each image
    files: Sequence[bytes]
    labels: Sequence[int] | None  # class numbers

    @property
    def indexes(self) -> range:
        """The numbers of the images."""
        return range(self.first_index, self.first_index + len(self.files))


@dataclass(frozen=True)
class FileBatch:
    """An ImageBatch whose files have been made already, by the encoder of the shard that they go into.

    files: N of them; digests: the SHA-256 of each, 32 bytes; shape: height, width and channels of each image.
    """

    first_index: int
    shape: tuple[int, int, int]
    files: Sequence[bytes]
    digests: Sequence[bytes]
    seeds: Integers
    labels: Integers | None = None
    edits: Sequence[Edit] | None = None
    choices: Choices | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def encoded(self) -> EncodedBatch:
        """What a format of shards takes of it."""
        labels = None if self.labels is None else self.labels.tolist()
        return EncodedBatch(self.first_index, self.shape, self.files, labels)


def digests_of(files: Sequence[bytes]) -> list[bytes]:
    """The SHA-256 of each file, 32 bytes."""
    return [hashlib.sha256(file).digest() for file in files]

"""Images with what is recorded of each, as pixels or files, as one process makes them and another one writes them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from imagemodels.places import each_with_rows, nothing
from pixmill.stages import Stage
from storage.batches import FileBatch, ImageBatch, digests_of
from storage.choices import Choices
from storage.manifest import Edit
from storage.png import Encoder, encode_batch
from worker.device.wire import Array

Images = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

DIGEST_BYTES = 32


@dataclass(frozen=True)
class Made:
    """Images (N, H, W, C), their labels (N,), and how each was chosen."""

    images: Images
    labels: Integers | None
    choices: Choices | None = None

    @property
    def shares(self) -> Mapping[str, float]:
        """How the time until they were there was shared by the stages, in any unit."""
        return {Stage.DEVICE: 1.0}

    @property
    def kinds(self) -> dict[str, Any]:
        """Which columns there are: plain JSON values."""
        return _kinds(self.labels, self.choices)

    @property
    def columns(self) -> tuple[Array, ...]:
        """What is recorded of the images: labels, choices column by column."""
        return _columns(self.labels, self.choices)

    @classmethod
    def of(cls, images: Images, kinds: Mapping[str, Any], columns: Sequence[Array]) -> Self:
        """Images (N, H, W, C) with what `kinds` and `columns` say of them."""
        return cls(images, *_recorded(kinds, columns))

    def batch(self, first: int, seeds: Integers, edits: Sequence[Edit] | None) -> ImageBatch:
        """What goes into a shard, numbered from `first` on."""
        return ImageBatch(first, self.images, seeds, self.labels, edits, self.choices)


@dataclass(frozen=True)
class MadeFiles:
    """The same as files, with the SHA-256 of each."""

    shape: tuple[int, int, int]  # height, width and channels of each image
    files: Sequence[bytes]
    digests: Sequence[bytes]
    labels: Integers | None
    choices: Choices | None
    shares: Mapping[str, float] = field(compare=False)  # as those of Made, in seconds

    @classmethod
    def encoded(cls, made: Made, encoder: Encoder, making_seconds: float) -> Self:
        """The files of images that were made in so many seconds."""
        began = time.perf_counter()
        files = encode_batch(made.images, encoder)
        digests = digests_of(files)
        shares: dict[str, float] = {Stage.DEVICE: making_seconds, Stage.ENCODE: time.perf_counter() - began}
        height, width, channels = made.images.shape[1:]
        return cls((height, width, channels), files, digests, made.labels, made.choices, shares)

    def batch(self, first: int, seeds: Integers, edits: Sequence[Edit] | None) -> FileBatch:
        """What goes into a shard, numbered from `first` on."""
        return FileBatch(first, self.shape, self.files, self.digests, seeds, self.labels, edits, self.choices)

    @property
    def facts(self) -> dict[str, Any]:
        """What is no array: plain JSON values."""
        return {"shape": self.shape, "shares": dict(self.shares), **_kinds(self.labels, self.choices)}

    @property
    def arrays(self) -> tuple[Array, ...]:
        """All files end to end, their sizes and digests, labels, choices column by column."""
        packed = np.frombuffer(b"".join(self.files), np.uint8)
        sizes = np.array([len(file) for file in self.files], np.int64)
        digests = np.frombuffer(b"".join(self.digests), np.uint8)
        return packed, sizes, digests, *_columns(self.labels, self.choices)

    @classmethod
    def of(cls, facts: Mapping[str, Any], arrays: Sequence[Array]) -> Self:
        """Inverse of `facts` and `arrays`."""
        packed, sizes, digests, *columns = arrays
        height, width, channels = facts["shape"]
        files = _parted(packed, [0, *np.cumsum(sizes).tolist()])
        each = _parted(digests, range(0, len(digests) + 1, DIGEST_BYTES))
        return cls((height, width, channels), files, each, *_recorded(facts, columns), facts["shares"])


def _parted(packed: Array, ends: Sequence[int]) -> list[bytes]:
    view = packed.data
    return [bytes(view[start:end]) for start, end in pairwise(ends)]


def _kinds(labels: Integers | None, choices: Choices | None) -> dict[str, Any]:
    """What is recorded of the images, as JSON."""
    return {"labelled": labels is not None, "chosen": choices is not None}


def _columns(labels: Integers | None, choices: Choices | None) -> tuple[Array, ...]:
    """Labels, and choices column by column."""
    chosen = () if choices is None else tuple(getattr(choices, one.name) for one in fields(Choices))
    return (*(() if labels is None else (labels,)), *chosen)


def _recorded(kinds: Mapping[str, Any], columns: Sequence[Array]) -> tuple[Integers | None, Choices | None]:
    """Inverse of `_kinds` and `_columns`."""
    rest = list(columns)
    labels = rest.pop(0) if kinds["labelled"] else None
    return labels, Choices(*rest) if kinds["chosen"] else None


@dataclass(frozen=True)
class Begun:
    """Images on their way into the memory that was given for them; they are there when `wait` has returned."""

    pieces: Sequence[Made]  # one for each piece of memory
    wait: Callable[[], None] = nothing

    @classmethod
    def into(
        cls,
        places: Sequence[Images],
        labels: Integers | None,
        choices: Choices | None = None,
        wait: Callable[[], None] = nothing,
    ) -> Self:
        """Those that go to `places`, (N₁, H, W, C), (N₂, H, W, C), …, with the facts (N₁ + N₂ + …,) of all of them."""
        pieces = [
            Made(images, None if labels is None else labels[rows], None if choices is None else choices.part(rows))
            for images, rows in each_with_rows(places)
        ]
        return cls(pieces, wait)

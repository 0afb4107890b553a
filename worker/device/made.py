"""Images with what is recorded of each, as pixels or files, as one process makes them and another one writes them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt

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
        kinds = {"labelled": self.labels is not None, "chosen": self.choices is not None}
        return {"shape": self.shape, "shares": dict(self.shares), **kinds}

    @property
    def arrays(self) -> tuple[Array, ...]:
        """All files end to end, their sizes and digests, labels, choices column by column."""
        packed = np.frombuffer(b"".join(self.files), np.uint8)
        sizes = np.array([len(file) for file in self.files], np.int64)
        digests = np.frombuffer(b"".join(self.digests), np.uint8)
        labels = () if self.labels is None else (self.labels,)
        chosen = self.choices
        columns = () if chosen is None else tuple(getattr(chosen, one.name) for one in fields(Choices))
        return packed, sizes, digests, *labels, *columns

    @classmethod
    def of(cls, facts: Mapping[str, Any], arrays: Sequence[Array]) -> Self:
        """Inverse of `facts` and `arrays`."""
        packed, sizes, digests, *rest = arrays
        labels = rest.pop(0) if facts["labelled"] else None
        choices = Choices(*rest) if facts["chosen"] else None
        height, width, channels = facts["shape"]
        files = _parted(packed, [0, *np.cumsum(sizes).tolist()])
        each = _parted(digests, range(0, len(digests) + 1, DIGEST_BYTES))
        return cls((height, width, channels), files, each, labels, choices, facts["shares"])


def _parted(packed: Array, ends: Sequence[int]) -> list[bytes]:
    view = packed.data
    return [bytes(view[start:end]) for start, end in pairwise(ends)]

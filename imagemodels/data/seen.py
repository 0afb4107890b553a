"""Which images a model learnt from, so that nobody judges by what was learnt by heart. Free of torch."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from imagemodels.data.dataset import ImageDataset, Images, Indices

NOTED_IMAGES = 10_000  # between two reports of progress
KEY_BYTES = 8  # of a sha256: two of a million images share them once in 37 million such sets


@dataclass(frozen=True, eq=False)
class SeenImages:
    """The images by the first bytes of the sha256 of their pixels, sorted and each once: uint64 (N,)."""

    keys: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, dataset: ImageDataset) -> Self:
        """Those of the data set's training part."""
        return cls.chosen(dataset.images, dataset.train_indices)

    @classmethod
    def chosen(cls, images: Images, chosen: Indices, note: Callable[[float], None] = lambda _share: None) -> Self:
        """Those of the images (N, H, W, C) that are chosen; `note` is told now and then which share was looked at."""
        parts = [np.empty(0, np.uint64)]
        for start in range(0, len(chosen), NOTED_IMAGES):
            note(start / len(chosen))
            parts.append(_keys(images, chosen[start : start + NOTED_IMAGES]))
        return cls(np.unique(np.concatenate(parts)))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Inverse of `to_bytes`.  Raises ValueError for a length that no list of keys has."""
        return cls(np.frombuffer(content, dtype=f"<u{KEY_BYTES}"))

    def to_bytes(self) -> bytes:
        """The keys one after the other, the low byte first."""
        return self.keys.astype(f"<u{KEY_BYTES}").tobytes()

    def count(self, images: Images, chosen: Indices) -> int:
        """How many of the chosen images (N, H, W, C) are among them."""
        return int(np.isin(_keys(images, chosen), self.keys).sum())

    def contain(self, images: Images) -> npt.NDArray[np.bool_]:
        """Whether each of the images (N, H, W, C) is among them, (N,)."""
        return np.isin(_keys(images, np.arange(len(images))), self.keys)


def _keys(images: Images, chosen: Indices) -> npt.NDArray[np.uint64]:
    sums = b"".join(hashlib.sha256(images[row].tobytes()).digest()[:KEY_BYTES] for row in chosen)
    return np.frombuffer(sums, dtype=f"<u{KEY_BYTES}")

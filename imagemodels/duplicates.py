"""Which images are there already: the very same pixels, or nearly the same picture. Free of torch.

Distances are between thumbnails, as those of the evaluation's memorisation, but between whole grey levels: squares of
whole numbers are summed without rounding, so that neither the order of summation nor the machine moves a decision.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from imagemodels.data.dataset import ImageDataset
from imagemodels.data.seen import SeenImages
from imagemodels.evaluation.memorisation import NEAR_PERCENTILE, THUMBNAIL_SIZE
from imagemodels.evaluation.thumbnails import thumbnail_rows

Images = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.float32]  # whole numbers from -128 to 127
Squares = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

CHUNK_PRODUCTS = 4_000_000  # held at once: 32 MB
YARDSTICKS = 1000  # images by whose distances to the training images nearness is judged
MIDDLE = 128


def levels(images: Images) -> Levels:
    """Return thumbnails (N, F) of uint8 images (N, S, S, C), in whole levels around 0.

    F is at most 768, so that a product of two rows stays below 2^24 and is exact in float32.
    """
    rows = np.rint(thumbnail_rows(images, THUMBNAIL_SIZE) * np.float32(255.0))
    around_0: Levels = rows - np.float32(MIDDLE)
    return around_0


def nearest_squares(queries: Levels, references: Levels, skipped: npt.NDArray[np.int64] | None = None) -> Squares:
    """Return the smallest squared distance (N,) of each query (N, F) to the references (M, F), at least one of them.

    ``skipped`` (N,) are numbers of references that are left out, one for each query: the query itself.
    """
    found = np.empty(len(queries), np.int32)
    lengths = _squares(references)
    step = max(1, CHUNK_PRODUCTS // len(references))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        part = queries[rows]
        squares = lengths - 2 * (part @ references.T).astype(np.int32)
        if skipped is not None:
            squares[np.arange(len(part)), skipped[rows]] = 2**30  # farther than anything is
        found[rows] = squares.min(1) + _squares(part)
    return found


def _squares(rows: Levels) -> Squares:
    squares: Squares = np.einsum("nf,nf->n", rows, rows).astype(np.int32)
    return squares


@dataclass(frozen=True)
class TrainingImages:
    """The images that a model has learnt from, to be told from those that it makes."""

    dataset: ImageDataset
    near: bool  # also images that are almost one of them
    seen: SeenImages = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", SeenImages.of(self.dataset))

    def have(self, images: Images) -> Flags:
        """Return whether each image (N, S, S, C) is one of them, or nearly."""
        same = self.seen.contain(images)
        if not self.near:
            return same
        return same | (nearest_squares(levels(images), self._levels) < self.limit)

    @cached_property
    def limit(self) -> int:
        """The squared distance below which an image is nearly a training image: 1 % of held-out ones are nearer.

        Where no image is held out, 1 % of the training images, each against all others.
        """
        data = self.dataset
        if len(data.test_indices):
            squares = nearest_squares(levels(data.images[_spread(data.test_indices)]), self._levels)
        else:
            rows = _spread(np.arange(len(data.train_indices)))
            squares = nearest_squares(self._levels[rows], self._levels, rows)
        return int(np.percentile(squares, NEAR_PERCENTILE, method="lower"))

    @property
    def near_distance(self) -> float:
        """The same as a root-mean-square difference, from 0 to 1 (black to white)."""
        return float(np.sqrt(self.limit / self._levels.shape[1]) / 255.0)

    @cached_property
    def _levels(self) -> Levels:
        return levels(self.dataset.images[self.dataset.train_indices])


def _spread(indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """At most so many of the indices, evenly spread: a folder's images are sorted by class."""
    return indices[:: max(1, -(-len(indices) // YARDSTICKS))]

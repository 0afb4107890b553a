"""Images of any size in overlapping square tiles of one size, and back. numpy only.

Shapes: N images, H and W pixels, C channels, T tiles of an image, S side of a tile in pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

OVERLAP = 4  # tiles share at least one part in so many of their side with the next one


@dataclass(frozen=True)
class Tiling:
    """How images of ``height`` × ``width`` pixels are cut into tiles of ``side`` pixels.

    An image that is smaller than a tile is continued over its lower and right border. Where tiles overlap, what was
    made of each counts the less the nearer its own border is, so that there is no seam.
    """

    height: int
    width: int
    side: int

    @property
    def corners(self) -> list[tuple[int, int]]:
        """The first row and column of each of the T tiles."""
        rows, columns = self._starts(self.height), self._starts(self.width)
        return [(row, column) for row in rows for column in columns]

    def cut(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return the tiles (N · T, S, S, …) of images (N, H, W, …), those of an image one after the other."""
        missing = [max(0, self.side - length) for length in (self.height, self.width)]
        rest = [(0, 0)] * (images.ndim - 3)
        padded = np.pad(images, [(0, 0), (0, missing[0]), (0, missing[1]), *rest], mode="edge")
        side = self.side
        parts = [padded[:, row : row + side, column : column + side] for row, column in self.corners]
        return np.stack(parts, axis=1).reshape(-1, side, side, *images.shape[3:])

    def joined(self, tiles: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return images (N, H, W, C) of their tiles (N · T, S, S, C)."""
        corners, side = self.corners, self.side
        shape = max(self.height, side), max(self.width, side)
        parts = tiles.reshape(-1, len(corners), *tiles.shape[1:])
        sums, total = np.zeros((len(parts), *shape, tiles.shape[-1])), np.zeros((*shape, 1))
        weights = self._weights()
        for number, (row, column) in enumerate(corners):
            sums[:, row : row + side, column : column + side] += weights * parts[:, number]
            total[row : row + side, column : column + side] += weights
        joined: NDArray[np.float64] = (sums / total)[:, : self.height, : self.width]
        return joined

    def _weights(self) -> NDArray[np.float64]:
        """How much each pixel of a tile counts: (S, S, 1)."""
        ramp = max(1, self.side // OVERLAP)
        inwards = np.minimum(np.arange(self.side), np.arange(self.side)[::-1]) + 1
        line = np.minimum(inwards, ramp) / ramp
        weights: NDArray[np.float64] = (line[:, None] * line[None])[:, :, None]
        return weights

    def _starts(self, length: int) -> list[int]:
        free = self.side - self.side // OVERLAP
        last = max(0, length - self.side)
        count = -(-last // free) + 1
        return [round(number * last / max(1, count - 1)) for number in range(count)]

"""The memory that was given for images: several arrays that hold them one after the other.  Needs no torch."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]


def each_with_rows(places: Sequence[Images]) -> Iterator[tuple[Images, slice]]:
    """Arrays (N₁, H, W, C), (N₂, H, W, C), …, each with the rows that it has among all N₁ + N₂ + … images.

    >>> [(rows.start, rows.stop) for _, rows in each_with_rows([np.zeros((3, 1, 1, 1)), np.zeros((4, 1, 1, 1))])]
    [(0, 3), (3, 7)]
    """
    start = 0
    for place in places:
        yield place, slice(start, start + len(place))
        start += len(place)


def nothing() -> None:
    """Wait for images that are in their places already."""

"""The first images of a data set, whatever shards they lie in."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from storage.places import Place
from storage.png import Images
from storage.shards import read_images


def read_first_images(
    shards: Iterable[tuple[Place, int]], count: int, note: Callable[[int], None] = lambda _done: None
) -> tuple[Images, npt.NDArray[np.int64] | None]:
    """Pixels and labels of the first `count` images of shards: where each is to be read, and its number.

    `note` is told before each shard how many there are; it may raise. Returns uint8 images (N, H, W, C), fewer where
    the shards hold no more, and int64 labels (N,), or None for images without. Raises as `read_images` does.
    """
    images: list[Images] = []
    labels: list[npt.NDArray[np.int64]] = []
    missing = count
    for place, number in shards:
        if missing <= 0:
            break
        note(count - missing)
        pixels, classes = read_images(place, number, count=missing)
        images.append(pixels)
        if classes is not None:
            labels.append(classes)
        missing -= len(pixels)
    return np.concatenate(images), np.concatenate(labels) if labels else None

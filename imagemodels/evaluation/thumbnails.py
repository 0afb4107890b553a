"""Images as short rows of numbers, by averaging blocks of pixels."""

import numpy as np
import numpy.typing as npt


def thumbnail_rows(images: npt.NDArray[np.uint8], largest_side: int) -> npt.NDArray[np.float32]:
    """Return uint8 images (N, S, S, C) as float32 rows (N, F), range 0 to 1, of at most largest_side² · C values.

    Larger sides are averaged by the smallest whole factor that fits; the rest of a division is cut off at the end.
    """
    count, side, _, channels = images.shape
    factor = -(-side // largest_side)
    blocks = side // factor
    cut = images[:, : blocks * factor, : blocks * factor]
    parted = cut.reshape(count, blocks, factor, blocks, factor, channels)
    rows: npt.NDArray[np.float32] = parted.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)
    return rows / np.float32(255.0)

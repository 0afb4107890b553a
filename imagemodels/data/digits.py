"""The real handwritten digits that come inside scikit-learn: always at hand, without a network."""

import numpy as np
import numpy.typing as npt

BRIGHTEST = 16  # the source counts ink in 4 × 4 blocks, 0 to 16


def read_digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return 1,797 gray digits as uint8 (N, 8, 8, 1), range 0 to 255, and their labels, int64 (N,).

    Source: UCI Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, 1998), its test part.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    levels = np.round(bunch.images * (255 / BRIGHTEST)).astype(np.uint8)
    return levels[..., np.newaxis], bunch.target.astype(np.int64)

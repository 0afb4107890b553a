"""The real handwritten digits that come inside scikit-learn: always at hand, without a network."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imagemodels.errors import DataError

BRIGHTEST = 16  # the source counts ink in 4 × 4 blocks, 0 to 16
SIDE = 8
_FILE = "datasets/data/digits.csv.gz"


def read_digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return 1,797 gray digits as uint8 (N, 8, 8, 1), range 0 to 255, and their labels, int64 (N,).

    Raises DataError where scikit-learn has no such file. Source: UCI Optical Recognition of Handwritten Digits
    (E. Alpaydin, C. Kaynak, 1998), its test part.
    """
    path = _package_folder() / _FILE
    if not path.is_file():
        raise DataError(f"the digits are not where scikit-learn keeps them, {path}; reinstall scikit-learn")
    table = np.loadtxt(path, delimiter=",")
    levels = np.round(table[:, :-1] * (255 / BRIGHTEST)).astype(np.uint8)
    return levels.reshape(-1, SIDE, SIDE, 1), table[:, -1].astype(np.int64)


def _package_folder() -> Path:
    # The package is found but not imported: that takes a second, for one file.
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise DataError("the digits come with scikit-learn, which is not installed: pip install scikit-learn")
    return Path(found.origin).parent

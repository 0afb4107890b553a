"""The built-in digits: scikit-learn's own, read without it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from imagemodels.data import digits
from imagemodels.data.digits import read_digits
from imagemodels.errors import DataError


def test_they_are_those_that_scikit_learn_gives() -> None:
    images, labels = read_digits()
    bunch = load_digits()
    np.testing.assert_array_equal(images[..., 0], np.round(bunch.images * (255 / 16)).astype(np.uint8))
    np.testing.assert_array_equal(labels, bunch.target)
    assert (images.dtype.name, labels.dtype.name, images.shape) == ("uint8", "int64", (1797, 8, 8, 1))


def test_reading_them_does_not_import_scikit_learn() -> None:
    program = """if True:
        import sys
        from imagemodels.data.digits import read_digits

        read_digits()
        sys.exit("sklearn" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_scikit_learn_without_them_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(digits, "_package_folder", lambda: tmp_path)
    with pytest.raises(DataError, match="reinstall scikit-learn"):
        read_digits()

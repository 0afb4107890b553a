import numpy as np
import pytest

from imagemodels.coding.files import HEADER_BYTES, CodeFormat
from imagemodels.coding.tables import fitted_tables, uniform_tables
from imagemodels.errors import DamagedFile

LEVELS = (8, 5, 2)
SIDE = 6
DIGEST = "0123456789abcdef" * 4


def smooth_codes(count: int, seed: int = 0) -> np.ndarray:
    """Codes (N, 3, 6, 6) that change little from place to place, as those of images do."""
    steps = np.random.default_rng(seed).integers(0, 2, (count, len(LEVELS), SIDE, SIDE)).cumsum(3)
    codes: np.ndarray = (steps % np.array(LEVELS)[:, None, None]).astype(np.uint8)
    return codes


FORMAT = CodeFormat(DIGEST, LEVELS, SIDE, fitted_tables(smooth_codes(200), LEVELS))


def test_codes_come_back_from_their_file() -> None:
    for codes in smooth_codes(20, seed=1):
        assert np.array_equal(FORMAT.read(FORMAT.write(codes)), codes)


def test_fitted_frequencies_make_smaller_files_than_none() -> None:
    plain = CodeFormat(DIGEST, LEVELS, SIDE, uniform_tables(LEVELS))
    codes = smooth_codes(30, seed=2)
    information = SIDE**2 * np.log2(LEVELS).sum() / 8
    assert np.mean([len(plain.write(one)) for one in codes]) == pytest.approx(HEADER_BYTES + 3 + information, abs=1)
    assert sum(len(FORMAT.write(one)) for one in codes) < 0.7 * sum(len(plain.write(one)) for one in codes)


def test_a_file_cut_anywhere_is_refused() -> None:
    content = FORMAT.write(smooth_codes(1, seed=3)[0])
    for length in range(len(content)):
        with pytest.raises(DamagedFile):
            FORMAT.read(content[:length])


def test_a_file_with_any_bit_changed_is_refused() -> None:
    content = FORMAT.write(smooth_codes(1, seed=4)[0])
    for place in range(8 * len(content)):
        altered = bytearray(content)
        altered[place // 8] ^= 1 << place % 8
        with pytest.raises(DamagedFile):
            FORMAT.read(bytes(altered))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no compressed image of pixmill"),
        (b"PMC\1abc", "cut short"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "no compressed image of pixmill"),
        (b"PMC\2" + bytes(40), "it has format 2; this pixmill reads 1"),
        (b"PMC\1" + bytes.fromhex("feedbeef") + bytes(40), "of model feedbeef…, not of 01234567…"),
    ],
)
def test_a_foreign_file_is_named(content: bytes, message: str) -> None:
    with pytest.raises(DamagedFile, match=message):
        FORMAT.read(content)

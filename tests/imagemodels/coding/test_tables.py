import numpy as np
import pytest

from imagemodels.coding.entropy import TOTAL
from imagemodels.coding.tables import contexts, cumulative, fitted_tables, uniform_tables
from imagemodels.errors import CorruptCheckpoint

LEVELS = (3, 2)


def some_codes(count: int = 40, side: int = 4) -> np.ndarray:
    generator = np.random.default_rng(1)
    return np.stack([generator.integers(0, level, (count, side, side)) for level in LEVELS], axis=1).astype(np.uint8)


def test_a_context_is_the_code_above_and_the_one_to_the_left_with_the_border_as_a_level_of_its_own() -> None:
    codes = np.array([[[[0, 2], [1, 0]]]], dtype=np.uint8)
    assert contexts(codes, 3).tolist() == [[[[3 * 4 + 3, 3 * 4 + 0], [0 * 4 + 3, 2 * 4 + 1]]]]


@pytest.mark.parametrize("tables", [uniform_tables(LEVELS), fitted_tables(some_codes(), LEVELS)])
def test_frequencies_add_up_and_none_is_zero_but_those_of_levels_that_a_channel_lacks(tables: np.ndarray) -> None:
    assert (tables.sum(2) == TOTAL).all()
    assert tables[0].min() > 0
    assert tables[1, :, :2].min() > 0
    assert (tables[1, :, 2] == 0).all()


def test_without_codes_all_levels_are_alike() -> None:
    assert uniform_tables((4, 2))[:, 0].tolist() == [[1024] * 4, [2048, 2048, 0, 0]]


def test_a_code_that_follows_another_is_expected_there_and_only_there() -> None:
    codes = np.zeros((50, 1, 4, 4), dtype=np.uint8)
    codes[:, :, :, 1::2] = 1  # columns of 0 and 1 in turn: left of each 1 stands a 0
    tables = fitted_tables(codes, (2,))[0]
    after_zero, after_one = tables[0 * 3 + 0], tables[0 * 3 + 1]  # below a 0, beside a 0 or a 1
    assert tables[1 * 3 + 0].tolist()[1] > 0.95 * TOTAL  # below a 1, right of a 0
    assert after_one.tolist()[0] > 0.95 * TOTAL
    assert after_zero[0] == pytest.approx(TOTAL / 2, rel=0.01)  # never seen: as all codes are


def test_frequencies_follow_the_counts_by_hand() -> None:
    codes = np.zeros((3, 1, 1, 1), dtype=np.uint8)
    codes[2] = 1
    table = fitted_tables(codes, (2,))[0]
    # Two 0 and one 1 in the context of the corner; overall (2 + 1, 1 + 1) of 5. Weights 2·5 + 8·3 and 1·5 + 8·2.
    expected_one = 1 + 21 * (TOTAL - 2) // (34 + 21)
    assert table[2 * 3 + 2].tolist() == [TOTAL - expected_one, expected_one]


@pytest.mark.parametrize("change", ["zero", "sum", "shape"])
def test_frequencies_by_which_nothing_can_be_coded_are_refused(change: str) -> None:
    tables = uniform_tables(LEVELS)
    if change == "zero":
        tables[0, 0, :2] = (0, tables[0, 0, :2].sum())
    elif change == "sum":
        tables[1, 3, 0] += 1
    else:
        tables = tables[:1]
    with pytest.raises(CorruptCheckpoint, match="frequencies"):
        cumulative(tables, LEVELS)

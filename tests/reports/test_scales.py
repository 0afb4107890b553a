import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.scales import Scale, fit_scale, tick_texts

VALUES = st.lists(st.floats(-1e90, 1e90), min_size=1, max_size=20)
SANE = st.lists(st.floats(1e-90, 1e90) | st.floats(-1e90, -1e-90) | st.just(0.0), min_size=1, max_size=20)


@given(VALUES)
def test_every_value_has_a_place_on_its_linear_scale(values: list[float]) -> None:
    scale = fit_scale(values)
    assert all(0 <= scale.place(value) <= 1 for value in values)


@given(st.lists(st.floats(1e-90, 1e90), min_size=1, max_size=20))
def test_every_positive_value_has_a_place_on_its_logarithmic_scale(values: list[float]) -> None:
    scale = fit_scale([*values, 0.0, -1.0], logarithmic=True)
    assert all(-1e-9 <= scale.place(value) <= 1 + 1e-9 for value in values)


@given(SANE, st.booleans())
def test_ticks_rise_inside_the_scale_and_are_told_apart(values: list[float], logarithmic: bool) -> None:
    scale = fit_scale(values, logarithmic=logarithmic)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 16
    assert ticks == sorted(ticks)
    assert all(-1e-6 <= scale.place(tick) <= 1 + 1e-6 for tick in ticks)


def test_ticks_are_round_numbers() -> None:
    assert Scale(low=0.0, high=240_000.0).ticks() == [0, 50_000, 100_000, 150_000, 200_000]
    assert Scale(low=0.013, high=90.0, logarithmic=True).ticks() == pytest.approx([0.1, 1, 10])


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ([], []),
        ([0.0], ["0"]),
        ([-0.5, 0.0, 0.5], ["−0.5", "0.0", "0.5"]),
        ([0, 50_000, 100_000], ["0", "50k", "100k"]),
        ([0, 2.5, 5], ["0.0", "2.5", "5.0"]),
        ([100_000_000.0, 100_000_001.0], ["100,000,000", "100,000,001"]),
        ([0.0, 1e-5, 2e-5], ["0", "1.00 × 10⁻⁵", "2.00 × 10⁻⁵"]),
    ],
)
def test_tick_texts_tell_ticks_apart(ticks: list[float], texts: list[str]) -> None:
    assert tick_texts(ticks) == texts


def test_a_span_too_small_to_tell_is_shown_as_one_value() -> None:
    assert fit_scale([0.0, 5e-324]).ticks() == [-1, -0.5, 0, 0.5, 1]


def test_equal_values_stand_in_the_middle() -> None:
    assert fit_scale([3.0, 3.0]).place(3.0) == pytest.approx(0.5)
    assert fit_scale([5.0], logarithmic=True).place(5.0) == pytest.approx(0.5)


def test_no_value_at_all_gives_a_plain_scale() -> None:
    assert fit_scale([]) == Scale(low=0.0, high=1.0)
    assert math.isclose(fit_scale([-1.0], logarithmic=True).high, 10.0)

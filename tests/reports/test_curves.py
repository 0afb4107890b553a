import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reports.curves import FloatArray, drawable, smooth, thin

CURVES = arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6) | st.just(np.nan))


@given(CURVES, st.integers(2, 40))
def test_thinning_keeps_the_extremes_and_the_limit(values: FloatArray, max_points: int) -> None:
    positions = np.arange(len(values), dtype=np.float64)
    kept_positions, kept = thin(positions, values, max_points)
    assert len(kept) <= max_points
    assert np.all(np.diff(kept_positions) > 0)
    if np.isfinite(values).any():
        assert np.nanmin(kept) == np.nanmin(values)
        assert np.nanmax(kept) == np.nanmax(values)


def test_thinning_keeps_a_single_peak_among_a_million() -> None:
    values = np.zeros(1_000_000)
    values[654_321] = 9.0
    positions, kept = thin(np.arange(1_000_000.0), values, 2000)
    assert len(kept) <= 2000
    assert positions[kept == 9.0].tolist() == [654_321.0]


def test_a_stretch_of_nan_leaves_a_gap() -> None:
    values = np.concatenate([np.ones(100), np.full(100, np.nan), np.ones(100)])
    _, kept = thin(np.arange(300.0), values, 30)
    assert np.isnan(kept).any()


def test_smoothing_a_constant_gives_the_constant() -> None:
    assert smooth(np.full(50, 3.0), 5) == pytest.approx(np.full(50, 3.0))


def test_smoothing_passes_over_values_that_are_not_finite() -> None:
    smoothed = smooth(np.array([1.0, np.nan, np.inf, 1.0]), 2)
    assert np.isnan(smoothed).tolist() == [False, True, True, False]
    assert smoothed[[0, 3]] == pytest.approx([1.0, 1.0])


def test_the_half_life_is_the_number_of_points_after_which_a_step_is_half_taken() -> None:
    smoothed = smooth(np.concatenate([np.zeros(1000), np.ones(10)]), 10)
    assert smoothed[-1] == pytest.approx(0.5, abs=1e-6)


def test_only_finite_values_of_sane_size_are_drawn() -> None:
    values = np.array([1.0, 0.0, -1.0, np.nan, np.inf, -np.inf, 1e200])
    assert drawable(values).tolist() == [True, True, True, False, False, False, False]
    assert drawable(values, logarithmic=True).tolist() == [True, *[False] * 6]

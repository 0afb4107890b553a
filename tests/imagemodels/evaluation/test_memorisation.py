import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm

from imagemodels.data import load_dataset
from imagemodels.evaluation.memorisation import MemorisationMeasure, mann_whitney_z, memorisation_measure
from imagemodels.evaluation.thumbnails import thumbnail_rows

DIGITS = load_dataset("digits", image_size=16).images
ORDER = np.random.default_rng(0).permutation(len(DIGITS))
TRAINING, HELD_OUT, FRESH = (DIGITS[part] for part in np.split(ORDER, [900, 1200]))


def _measure(generated: np.ndarray) -> MemorisationMeasure:
    return memorisation_measure(TRAINING, HELD_OUT, generated)


def test_new_real_images_are_not_taken_for_copies() -> None:
    measure = _measure(FRESH)
    assert abs(measure.z) < 4.0
    assert measure.exact_copies == 0
    assert measure.near_copies < 0.05 * len(FRESH)
    assert measure.near_repeats < 0.05


def test_exact_copies_are_counted_and_drive_the_score_far_below_zero() -> None:
    measure = _measure(TRAINING[:300])
    assert measure.exact_copies == 300
    assert measure.near_copies == 300
    assert measure.z < -20.0
    assert measure.nearest_training.tolist() == list(range(300))


def test_copies_with_a_little_noise_are_near_though_not_exact() -> None:
    noise = np.random.default_rng(0).normal(0, 8, TRAINING[:300].shape)
    measure = _measure(np.clip(TRAINING[:300] + noise, 0, 255).astype(np.uint8))
    assert measure.exact_copies == 0
    assert measure.near_copies > 285
    assert measure.z < -20.0
    assert measure.near_repeats < 0.05


def test_noise_is_far_from_everything() -> None:
    measure = _measure(np.random.default_rng(0).integers(0, 256, FRESH.shape, dtype=np.uint8))
    assert measure.z > 20.0
    assert measure.near_copies == 0


def test_a_generator_that_repeats_itself_is_found() -> None:
    measure = _measure(np.tile(FRESH[:20], (15, 1, 1, 1)))
    assert measure.repeats == 280
    assert measure.near_repeats == 1.0
    assert abs(measure.z) < 6.0


@given(
    st.lists(st.integers(0, 9), min_size=8, max_size=40),
    st.lists(st.integers(0, 9), min_size=8, max_size=40),
)
def test_the_score_agrees_with_scipy_ties_included(sample: list[int], yardstick: list[int]) -> None:
    z = mann_whitney_z(np.array(sample, dtype=float), np.array(yardstick, dtype=float))
    if len({*sample, *yardstick}) == 1:
        assert z == 0.0
        return
    p_value = mannwhitneyu(sample, yardstick, method="asymptotic", use_continuity=False, alternative="less").pvalue
    assert norm.cdf(z) == pytest.approx(p_value, abs=1e-9)


@pytest.mark.parametrize(("side", "channels", "expected"), [(8, 1, 64), (16, 3, 768), (28, 1, 196), (33, 1, 121)])
def test_thumbnails_have_at_most_the_side_that_was_asked_for(side: int, channels: int, expected: int) -> None:
    images = np.full((2, side, side, channels), 51, dtype=np.uint8)
    rows = thumbnail_rows(images, 16)
    assert rows.shape == (2, expected)
    assert np.allclose(rows, 0.2)

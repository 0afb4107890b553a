import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from imagemodels.random import labels, latents, step_seed

SEEDS = st.integers(0, 2**63 - 1)


@given(seed=SEEDS, start=st.integers(0, 10**12), cut=st.integers(0, 40), size=st.integers(1, 37))
@settings(max_examples=40, deadline=None)
def test_a_slice_equals_the_same_rows_of_the_whole(seed: int, start: int, cut: int, size: int) -> None:
    whole = latents(seed, np.arange(start, start + 40), size)
    first = latents(seed, np.arange(start, start + cut), size)
    second = latents(seed, np.arange(start + cut, start + 40), size)
    assert np.array_equal(whole, np.concatenate((first, second)))


@given(seed=SEEDS, indices=st.lists(st.integers(0, 10**6), max_size=30), size=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_an_image_has_the_same_latent_in_any_order_and_company(seed: int, indices: list[int], size: int) -> None:
    together = latents(seed, np.array(indices, dtype=np.int64), size)
    assert together.shape == (len(indices), size)
    for row, index in zip(together, indices, strict=True):
        assert np.array_equal(row, latents(seed, np.array([index]), size)[0])


def test_latents_are_standard_normal_and_uncorrelated() -> None:
    values = latents(3, np.arange(4000), 32)
    assert values.dtype == np.float32
    assert stats.kstest(values.ravel(), "norm").pvalue > 1e-3
    correlations = np.corrcoef(values.T) - np.eye(32)
    assert np.abs(correlations).max() < 0.08
    neighbours = np.mean(values[1:] * values[:-1])
    assert abs(neighbours) < 0.01


def test_other_seeds_give_other_latents() -> None:
    assert not np.array_equal(latents(1, np.arange(4), 8), latents(2, np.arange(4), 8))


def test_the_latents_of_a_seed_never_change() -> None:
    # Stored data sets are made again from their seeds: these numbers belong to the file format.
    expected = [[0.8053632, -0.2089553, 1.168974], [0.8654125, -0.1788694, -0.879713]]
    np.testing.assert_allclose(latents(7, np.array([0, 5]), 3), expected, rtol=1e-6)


def test_negative_indices_are_refused() -> None:
    with pytest.raises(ValueError, match="start at 0, got -1"):
        latents(0, np.array([3, -1]), 4)


def test_labels_are_balanced_and_belong_to_the_index() -> None:
    assert np.bincount(labels(np.arange(1000), 10)).tolist() == [100] * 10
    assert labels(np.array([7, 23]), 10).tolist() == [7, 3]


def test_seeds_of_steps_differ_by_seed_step_and_purpose() -> None:
    seeds = {step_seed(seed, step, purpose) for seed in range(5) for step in range(50) for purpose in ("a", "b")}
    assert len(seeds) == 500
    assert all(0 <= seed < 2**63 for seed in seeds)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagemodels.errors import DataError
from imagemodels.evaluation import neighbours
from imagemodels.evaluation.manifold import ManifoldMeasure, manifold_measure


def _by_definition(real: np.ndarray, generated: np.ndarray) -> ManifoldMeasure:
    """Follow the papers' formulas, one pair at a time in effect: the second implementation."""
    across = np.linalg.norm(real[:, None] - generated[None], axis=2)
    real_sorted = np.sort(np.linalg.norm(real[:, None] - real[None], axis=2), axis=1)  # column 0 is the point itself
    generated_sorted = np.sort(np.linalg.norm(generated[:, None] - generated[None], axis=2), axis=1)
    within = across <= real_sorted[:, 5:6]
    return ManifoldMeasure(
        precision=float((across <= real_sorted[:, 3:4]).any(0).mean()),
        recall=float((across <= generated_sorted[:, 3]).any(1).mean()),
        density=float(within.sum() / (5 * len(generated))),
        coverage=float(within.any(1).mean()),
    )


@settings(max_examples=25)
@given(st.integers(7, 40), st.integers(7, 40), st.integers(1, 6), st.integers(0, 1000))
def test_it_agrees_with_the_definition_whatever_the_chunks(real_count: int, count: int, size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    real, generated = generator.normal(size=(real_count, size)), generator.normal(0.3, 1.2, (count, size))
    measured, expected = manifold_measure(real, generated), _by_definition(real, generated)
    assert vars(measured) == pytest.approx(vars(expected))


def test_small_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real, generated = np.random.default_rng(0).normal(size=(2, 50, 4))
    whole = manifold_measure(real, generated)
    monkeypatch.setattr(neighbours, "CHUNK_ELEMENTS", 120)
    assert manifold_measure(real, generated) == whole


def test_equal_distributions_have_density_and_coverage_near_one() -> None:
    real, generated = np.random.default_rng(0).normal(size=(2, 1500, 64))
    measure = manifold_measure(real, generated)
    assert measure.density == pytest.approx(1.0, abs=0.1)
    assert measure.coverage == pytest.approx(0.97, abs=0.03)


def test_dropping_modes_lowers_recall_and_coverage_but_not_precision() -> None:
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 20, (10, 8))
    real = centres[np.arange(1000) % 10] + generator.normal(size=(1000, 8))
    all_modes = centres[np.arange(1000) % 10] + generator.normal(size=(1000, 8))
    half_the_modes = centres[np.arange(1000) % 5] + generator.normal(size=(1000, 8))
    whole, dropped = manifold_measure(real, all_modes), manifold_measure(real, half_the_modes)
    assert dropped.recall == pytest.approx(whole.recall / 2, abs=0.1)
    assert dropped.coverage < 0.55 < 0.9 < whole.coverage
    assert dropped.precision == pytest.approx(whole.precision, abs=0.1)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="more than 5 images on each side; found 5 real and 9 generated"):
        manifold_measure(np.zeros((5, 2)), np.zeros((9, 2)))


def test_nearest_finds_the_closest_and_the_first_of_equals() -> None:
    references = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])
    distances, indices = neighbours.nearest(np.array([[3.0, 4.0], [0.0, 1.0]]), references)
    assert distances.tolist() == pytest.approx([0.0, 1.0])
    assert indices.tolist() == [1, 0]

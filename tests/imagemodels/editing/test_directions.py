import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from imagemodels.editing.directions import RIDGE, Direction, fitted_direction
from imagemodels.errors import DataError

Latents = NDArray[np.float32]
Flags = NDArray[np.bool_]


def two_clouds(count: int = 60, size: int = 5) -> tuple[Latents, Flags]:
    """One latent in four has the attribute: it lies further along the second axis, and is stretched along the first."""
    draw = np.random.default_rng(3)
    has = np.arange(count) % 4 == 0
    latents = draw.normal(size=(count, size)) * [4, 1, 1, 1, 1][:size]
    latents[has, 1] += 2.5
    return latents.astype(np.float32), has


def vector(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_means_point_from_one_mean_to_the_other_and_a_strength_of_one_takes_it_there() -> None:
    latents = np.array([[0, 0], [2, 0], [3, 4], [5, 4]], dtype=np.float32)  # means (1, 0) and (4, 4)
    direction = fitted_direction(latents, np.array([False, False, True, True]), "means")
    assert direction.vector.tolist() == pytest.approx([0.6, 0.8])
    assert direction.length == pytest.approx(5)
    assert direction.middle == pytest.approx((0.6 + 0.6 * 4 + 0.8 * 4) / 2)
    moved = direction.moved(latents[:2], np.array([1.0, -0.5]))
    assert moved.tolist() == [pytest.approx([3, 4]), pytest.approx([0.5, -2])]
    assert moved.dtype == np.float32


def test_logistic_is_the_balanced_regression_of_scikit_learn() -> None:
    latents, has = two_clouds()
    found = fitted_direction(latents, has, "logistic")
    # Our shares sum to 1 and the ridge is RIDGE/2; theirs are weighed by N/2n of each kind and sum to N.
    reference = LogisticRegression(C=1 / (RIDGE * len(has)), class_weight="balanced", tol=1e-10, max_iter=10_000)
    normal = reference.fit(latents.astype(np.float64), has).coef_[0]
    np.testing.assert_allclose(found.vector.numpy(), normal / np.linalg.norm(normal), atol=1e-5)
    assert found.vector.norm().item() == pytest.approx(1)


def test_logistic_is_not_led_astray_by_how_far_a_cloud_is_stretched_as_means_are() -> None:
    latents, has = two_clouds()
    latents[has, 0] += 3  # less than the spread
    tilts = {fit: abs(fitted_direction(latents, has, fit).vector[0].item()) for fit in ("logistic", "means")}
    assert tilts["logistic"] < 0.5 * tilts["means"]


def test_latents_that_a_plane_parts_without_error_have_a_direction_all_the_same() -> None:
    latents = np.array([[-3, 1], [-3, -1], [3, 1], [3, -1]], dtype=np.float32)
    direction = fitted_direction(latents, np.array([False, False, True, True]))
    assert direction.vector.tolist() == pytest.approx([1, 0])
    assert direction.accuracy(latents, np.array([False, False, True, True])) == 1.0


def test_the_direction_leaves_alone_what_it_is_to_be_apart_from() -> None:
    latents, has = two_clouds()
    others = [vector(0, 1, 1, 0, 0) / math.sqrt(2), vector(0, 0, 1, 0, 0)]  # not orthogonal to each other
    found = fitted_direction(latents, has, "means", others)
    assert found.vector.norm().item() == pytest.approx(1)
    assert [float(found.vector @ other) for other in others] == pytest.approx([0, 0], abs=1e-12)
    free = fitted_direction(latents, has, "means")
    assert abs(float(free.vector @ others[0])) > 0.1  # else nothing was shown


def test_accuracy_counts_both_sides_alike() -> None:
    direction = Direction(vector(1, 0), 2.0, 0.0)
    latents = np.array([[1, 0], [1, 0], [1, 0], [-1, 0], [-1, 0]], dtype=np.float32)
    # All of three that have it, one of two that have it not.
    assert direction.accuracy(latents, np.array([True, True, True, True, False])) == pytest.approx((3 / 4 + 1) / 2)


@pytest.mark.parametrize(
    ("has", "apart", "message"),
    [
        ([True, True, True], [], "with and without the attribute; found 3 of 3"),
        ([False, False, False], [], "found 0 of 3"),
        ([True, False, False], [vector(1, 0)], "nothing is left of the direction"),
    ],
)
def test_what_has_no_direction_is_refused(has: list[bool], apart: list[torch.Tensor], message: str) -> None:
    latents = np.array([[2, 0], [0, 0], [0, 0]], dtype=np.float32)
    with pytest.raises(DataError, match=message):
        fitted_direction(latents, np.array(has), "means", apart)


def test_equal_means_have_no_direction() -> None:
    with pytest.raises(DataError, match="the same mean"):
        fitted_direction(np.ones((4, 2), dtype=np.float32), np.array([True, False, True, False]), "means")

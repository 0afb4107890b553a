import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from imagemodels.errors import DataError
from imagemodels.evaluation.distances import (
    frechet_bias,
    frechet_distance,
    kernel_distance,
    unbiased_discrepancy,
)


class Flatten(nn.Module):
    """Take the pixels themselves as features; all scaling happens here, since torchmetrics scales nothing for it."""

    num_features = 48

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).float() / 255.0


def _images(seed: int, count: int, brightest: int) -> Tensor:
    return torch.randint(
        0, brightest, (count, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def _features(images: Tensor) -> np.ndarray:
    features: np.ndarray = Flatten()(images).numpy()
    return features


def test_the_frechet_distance_agrees_with_torchmetrics() -> None:
    real, generated = _images(1, 300, 256), _images(2, 200, 200)
    metric = FrechetInceptionDistance(feature=Flatten(), input_img_size=(3, 4, 4)).set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    assert frechet_distance(_features(real), _features(generated)) == pytest.approx(metric.compute().item(), rel=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all extracted features")
def test_the_kernel_distance_agrees_with_torchmetrics() -> None:
    real, generated = _images(1, 120, 256), _images(2, 120, 200)
    metric = KernelInceptionDistance(feature=Flatten(), subsets=1, subset_size=120)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    ours = kernel_distance(_features(real), _features(generated), seed=0)
    assert ours.value == pytest.approx(metric.compute()[0].item(), rel=1e-4)


def test_the_frechet_distance_of_known_gaussians_is_the_formula() -> None:
    generator = np.random.default_rng(0)
    first = generator.normal(0.0, 1.0, (200_000, 2))
    second = generator.normal([3.0, 0.0], [2.0, 1.0], (200_000, 2))
    assert frechet_distance(first, second) == pytest.approx(9.0 + 1.0, rel=0.02)  # |3|² + (2 − 1)²


@settings(max_examples=30)
@given(count=st.integers(2, 40), size=st.integers(1, 12), seed=st.integers(0, 1000))
def test_the_frechet_distance_is_symmetric_never_negative_and_zero_for_equals(count: int, size: int, seed: int) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, count, size))
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(first, second) >= 0.0
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first), abs=1e-6)


def test_the_frechet_distance_stays_finite_when_features_are_degenerate() -> None:
    constant = np.zeros((10, 64))
    constant[:, 0] = 1.0
    varied = np.random.default_rng(0).normal(size=(10, 64))
    assert np.isfinite(frechet_distance(constant, varied))
    assert frechet_distance(constant, constant) == 0.0


@pytest.mark.parametrize("count", [500, 2000])
def test_the_expected_bias_is_what_equal_distributions_show(count: int) -> None:
    first, second = np.random.default_rng(0).normal(size=(2, count, 64))
    assert frechet_bias(first, count, count) == pytest.approx(frechet_distance(first, second), rel=0.15)


def test_the_kernel_distance_is_unbiased_where_the_frechet_distance_is_not() -> None:
    generator = np.random.default_rng(0)
    values = [kernel_distance(*generator.normal(size=(2, 60, 8)), seed=0).value for _ in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert min(values) < 0.0


def test_subsets_estimate_the_whole_and_depend_on_the_seed_alone() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(600, 8)), generator.normal(0.5, 1.0, (500, 8))
    estimate = kernel_distance(first, second, seed=1, subsets=20, subset_size=200)
    assert estimate.standard_error > 0.0
    assert estimate.value == pytest.approx(unbiased_discrepancy(first, second), abs=6 * estimate.standard_error)
    assert kernel_distance(first, second, seed=1, subsets=20, subset_size=200) == estimate
    assert kernel_distance(first, second, seed=2, subsets=20, subset_size=200) != estimate


@pytest.mark.parametrize("features", [np.zeros((1, 4)), np.zeros(4), np.full((3, 4), np.nan)])
def test_unusable_features_are_refused(features: np.ndarray) -> None:
    with pytest.raises(DataError):
        frechet_distance(features, np.zeros((3, 4)))


def test_with_fewer_images_than_features_the_distance_is_that_of_the_covariances() -> None:
    generator = np.random.default_rng(4)
    for count, other_count in ((5, 9), (5, 40), (40, 5)):
        first = generator.normal(size=(count, 12)) + 0.5
        second = generator.normal(size=(other_count, 12)) @ np.diag(np.linspace(0.5, 2, 12))
        covariances = [np.cov(side, rowvar=False) for side in (first, second)]
        root = linalg.sqrtm(covariances[0] @ covariances[1] + 1e-12 * np.eye(12))
        gap = first.mean(0) - second.mean(0)
        expected = gap @ gap + np.trace(covariances[0] + covariances[1] - 2 * np.real(root))
        assert frechet_distance(first, second) == pytest.approx(expected, abs=1e-3)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-12)

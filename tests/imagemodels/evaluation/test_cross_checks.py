"""Our numbers against those of other libraries, on the features of real and of spoilt digits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from sklearn.metrics import recall_score
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from imagemodels.evaluation.distances import frechet_distance, kernel_distance, unbiased_discrepancy
from imagemodels.evaluation.manifold import manifold_measure
from imagemodels.evaluation.neighbours import nearest, radii
from imagemodels.evaluation.usefulness import class_accuracy, confusion_matrix
from tests.imagemodels.evaluation.conftest import Study

Matrix = npt.NDArray[np.float64]
COUNT = 250


@dataclass(frozen=True)
class Sides:
    """Features (N, 64), float64, and the images that they are of, uint8 (N, 1, S, S)."""

    real: Matrix
    generated: Matrix
    real_images: Tensor
    generated_images: Tensor


class Net(nn.Module):
    """A feature net as torchmetrics takes one; it scales its images by itself, since nothing is scaled for it."""

    num_features = 64

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._net = study.net

    def forward(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self._net.features(images.permute(0, 2, 3, 1).numpy()))


@pytest.fixture(scope="module")
def sides(study: Study) -> Sides:
    real = study.dataset.images[study.dataset.train_indices[:COUNT]]
    spoilt = study.fresh_images[:COUNT] + np.random.default_rng(0).normal(0, 40, study.fresh_images[:COUNT].shape)
    generated = np.clip(spoilt, 0, 255).astype(np.uint8)
    real_NF, generated_NF = (study.net.features(images).astype(np.float64) for images in (real, generated))
    return Sides(real_NF, generated_NF, *(torch.from_numpy(images).permute(0, 3, 1, 2) for images in (real, generated)))


def by_scikit_learn(first: Matrix, second: Matrix) -> float:
    """The squared maximum mean discrepancy without the pairs of an image with itself."""
    within = [polynomial_kernel(side, degree=3, gamma=1 / side.shape[1], coef0=1) for side in (first, second)]
    across = polynomial_kernel(first, second, degree=3, gamma=1 / first.shape[1], coef0=1)
    means = [(kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)) for kernel in within]
    return float(sum(means) - 2 * across.mean())


def test_the_kernel_distance_is_that_of_scikit_learns_kernel(sides: Sides) -> None:
    expected = by_scikit_learn(sides.real, sides.generated[:200])
    assert unbiased_discrepancy(sides.real, sides.generated[:200]) == pytest.approx(expected, rel=1e-9)
    # With the pairs of an image with itself it would be another number, and never near zero.
    within = [polynomial_kernel(side, degree=3, gamma=1 / 64, coef0=1).mean() for side in (sides.real, sides.generated)]
    biased = sum(within) - 2 * polynomial_kernel(sides.real, sides.generated, degree=3, gamma=1 / 64, coef0=1).mean()
    assert biased != pytest.approx(unbiased_discrepancy(sides.real, sides.generated), rel=0.01)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all extracted features")
def test_both_distances_are_those_of_torchmetrics_with_our_feature_net(study: Study, sides: Sides) -> None:
    shape = (1, study.dataset.image_size, study.dataset.image_size)
    frechet = FrechetInceptionDistance(feature=Net(study), input_img_size=shape).set_dtype(torch.float64)
    kernel = KernelInceptionDistance(feature=Net(study), subsets=1, subset_size=COUNT)
    for metric in (frechet, kernel):
        metric.update(sides.real_images, real=True)
        metric.update(sides.generated_images, real=False)
    assert frechet_distance(sides.real, sides.generated) == pytest.approx(frechet.compute().item(), rel=1e-4)
    ours = kernel_distance(sides.real, sides.generated, seed=0).value
    assert ours == pytest.approx(kernel.compute()[0].item(), rel=1e-3)


def test_torchmetrics_scales_nothing_for_a_feature_net_of_ones_own() -> None:
    """`normalize=True` promises to take images in [0, 1]; with a module of one's own it hands them on as they are."""

    class Pixels(nn.Module):
        num_features = 16

        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1).double()

    random = torch.Generator().manual_seed(0)
    real, generated = (torch.rand(60, 1, 4, 4, generator=random) ** power for power in (1, 2))
    metric = FrechetInceptionDistance(feature=Pixels(), normalize=True, input_img_size=(1, 4, 4))
    metric.set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    unscaled = frechet_distance(*(side.flatten(1).double().numpy() for side in (real, generated)))
    assert metric.compute().item() == pytest.approx(unscaled, rel=1e-6)
    assert metric.compute().item() < 255 * unscaled


def test_the_frechet_distance_is_that_of_scipys_matrix_root(sides: Sides) -> None:
    gap = sides.real.mean(0) - sides.generated.mean(0)
    covariances = [np.cov(side, rowvar=False) for side in (sides.real, sides.generated)]
    # The root of a product of singular matrices needs a little help, as in the first implementation of all.
    first, second = (covariance + 1e-9 * np.eye(64) for covariance in covariances)
    expected = gap @ gap + np.trace(first) + np.trace(second) - 2 * np.trace(sqrtm(first @ second).real)
    assert frechet_distance(sides.real, sides.generated) == pytest.approx(expected, rel=1e-3)


def neighbour_radii(side: Matrix, k: int) -> Matrix:
    """The distance to the k-th other point: scikit-learn finds the point itself first."""
    distances, _ = NearestNeighbors(n_neighbors=k + 1).fit(side).kneighbors(side)
    found: Matrix = distances[:, k]
    return found


def test_precision_recall_density_and_coverage_are_those_of_scikit_learns_neighbours(sides: Sides) -> None:
    real, generated = sides.real, sides.generated
    across = NearestNeighbors().fit(generated).radius_neighbors
    reached = across(real, radius=1e9, return_distance=True, sort_results=False)
    distances = np.stack([row[np.argsort(order)] for row, order in zip(*reached, strict=True)])
    within = distances <= neighbour_radii(real, 5)[:, None]
    measured = manifold_measure(real, generated)
    assert measured.precision == (distances <= neighbour_radii(real, 3)[:, None]).any(0).mean()
    assert measured.recall == (distances <= neighbour_radii(generated, 3)[None]).any(1).mean()
    assert measured.density == pytest.approx(within.sum() / (5 * COUNT))
    assert measured.coverage == within.any(1).mean()


def test_neighbours_are_those_of_scikit_learn(sides: Sides) -> None:
    assert radii(sides.real, 4) == pytest.approx(neighbour_radii(sides.real, 4), abs=1e-6)
    distances, indices = nearest(sides.generated, sides.real)
    expected, places = NearestNeighbors(n_neighbors=1).fit(sides.real).kneighbors(sides.generated)
    assert distances == pytest.approx(expected[:, 0], abs=1e-6)
    assert np.array_equal(indices, places[:, 0])


def test_accuracies_are_those_of_scikit_learn(study: Study, sides: Sides) -> None:
    true, predicted = study.fresh_labels[:COUNT], study.net.predict(sides.generated_images.permute(0, 2, 3, 1).numpy())
    confusion = confusion_matrix(true, predicted, 10)
    assert np.array_equal(confusion, sklearn_confusion_matrix(true, predicted, labels=range(10)))
    assert class_accuracy(confusion) == pytest.approx(recall_score(true, predicted, labels=range(10), average=None))

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from imagemodels.forests.components import Components, find_components
from imagemodels.pixels import HALF_RANGE
from tests.imagemodels.pictures import digits


def rows(count: int) -> Tensor:
    """The first digits as uint8 (N, 64)."""
    return digits(8)[0][:count].flatten(1)


def exact(pixels: Tensor, count: int) -> PCA:
    """The decomposition of another library."""
    return PCA(count, svd_solver="full").fit(pixels.double().numpy() / HALF_RANGE - 1)


@pytest.mark.parametrize("batch_size", [17, 1000])
def test_the_components_are_those_of_scikit_learn(batch_size: int) -> None:
    pixels = rows(300)
    found, expected = find_components(pixels, 6, 1, batch_size), exact(pixels, 6)
    assert torch.allclose(found.mean, torch.from_numpy(expected.mean_).float(), atol=1e-6)
    lengths = found.axes.norm(dim=1)
    assert lengths.numpy() == pytest.approx(expected.explained_variance_**0.5, rel=1e-3)
    overlap = (found.axes / lengths[:, None]) @ torch.from_numpy(expected.components_).float().t()
    assert torch.allclose(overlap.abs(), torch.eye(6), atol=0.02)


def test_scores_are_uncorrelated_with_variance_one_and_give_the_images_back() -> None:
    pixels = rows(300)
    found = find_components(pixels, 64, 1, 64)
    scores = found.scores(pixels, 50)
    kept = found.axes.norm(dim=1) > 0
    covariance = scores[:, kept].double().t() @ scores[:, kept].double() / 299
    assert torch.allclose(covariance, torch.eye(int(kept.sum())).double(), atol=2e-3)
    images = (found.mean + scores @ found.axes + 1) * HALF_RANGE
    assert (images - pixels).abs().max() < 1.0


def test_more_components_than_directions_leave_the_last_ones_empty() -> None:
    found = find_components(rows(4), 10, 1, 64)
    lengths = found.axes.norm(dim=1)
    assert (lengths > 0).tolist() == [True] * 3 + [False] * 7
    assert found.scores(rows(4), 64)[:, 3:].abs().max() == 0


def test_one_image_alone_is_its_own_mean() -> None:
    found = find_components(rows(1), 3, 1, 64)
    assert torch.equal(found.axes, torch.zeros(3, 64))
    assert torch.isfinite(found.scores(rows(1), 64)).all()


def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = (find_components(rows(100), 5, 7, 32) for _ in range(2))
    assert torch.equal(first.axes, second.axes)


def test_scores_of_components_that_are_known() -> None:
    components = Components(torch.zeros(2), torch.tensor([[2.0, 0.0], [0.0, 0.5]]))
    pixels = torch.tensor([[255, 0]], dtype=torch.uint8)  # (1, -1)
    assert components.scores(pixels, 8).tolist() == [[0.5, -2.0]]

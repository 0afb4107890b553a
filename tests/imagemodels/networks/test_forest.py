import numpy as np
import pytest
import torch
from scipy.stats import norm, truncnorm

from imagemodels.networks.forest import ForestDecoder, ForestSpec

SPEC = ForestSpec(image_size=8, channels=1, latent_size=3, groups=3, leaves=5, num_classes=2)


def decoder() -> ForestDecoder:
    """Two leaves of class 0 (groups 0 and 1), three of class 1 (group 2)."""
    random = torch.Generator().manual_seed(0)
    filled = ForestDecoder(SPEC)
    mean = torch.randn(5, 2, generator=random)
    weights = {
        "class_leaves": torch.tensor([2, 3]),
        "counts": torch.tensor([30, 10, 5, 5, 10], dtype=torch.int32),
        "leaf_groups": torch.tensor([0, 1, 2, 2, 2], dtype=torch.int32),
        "mean": mean,
        "deviation": torch.rand(5, 2, generator=random) + 0.1,
        "lower": mean - torch.rand(5, 2, generator=random),
        "upper": mean + torch.tensor([0.5, 1e4]),
        "images": torch.rand(3, 64, generator=random) - 0.5,
        "axes": 0.1 * torch.randn(3, 2, 64, generator=random),
    }
    filled.load_state_dict(weights)
    return filled


def test_images_are_the_mean_plus_components_at_the_quantiles_of_truncated_normals() -> None:
    network, random = decoder(), np.random.default_rng(0)
    latents = random.normal(size=(40, 3))
    labels = np.arange(40) % 2
    images = network(torch.from_numpy(latents).float(), torch.from_numpy(labels))
    arrays = {name: buffer.numpy().astype(np.float64) for name, buffer in network.named_buffers()}
    for number in range(40):
        leaves = [0, 1] if labels[number] == 0 else [2, 3, 4]
        shares = arrays["counts"][leaves].cumsum() / arrays["counts"][leaves].sum()
        leaf = leaves[int((norm.cdf(latents[number, 0]) >= shares).sum())]
        mean, deviation = arrays["mean"][leaf], arrays["deviation"][leaf]
        sides = ((arrays[name][leaf] - mean) / deviation for name in ("lower", "upper"))
        scores = truncnorm.ppf(norm.cdf(latents[number, 1:]), *sides, loc=mean, scale=deviation)
        group = int(arrays["leaf_groups"][leaf])
        expected = np.clip(arrays["images"][group] + scores @ arrays["axes"][group], -1, 1)
        assert images[number].flatten().numpy() == pytest.approx(expected, abs=1e-4)


def test_leaves_are_drawn_by_their_shares_of_the_class() -> None:
    network = decoder()
    uniforms = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    first = network._leaves(uniforms, torch.zeros(4000, dtype=torch.int64))
    assert torch.bincount(first, minlength=5).tolist() == [3000, 1000, 0, 0, 0]
    second = network._leaves(uniforms, torch.ones(4000, dtype=torch.int64))
    assert torch.bincount(second, minlength=5).tolist() == [0, 0, 1000, 1000, 2000]


@pytest.mark.parametrize("latent", [-6.7, 6.7, -40.0, 40.0])
def test_the_rarest_latents_give_finite_images_within_the_range(latent: float) -> None:
    images = decoder()(torch.full((4, 3), latent), torch.tensor([0, 0, 1, 1]))
    assert images.shape == (4, 1, 8, 8)
    assert torch.isfinite(images).all()
    assert images.abs().max() <= 1


def test_an_image_does_not_depend_on_those_that_are_made_beside_it() -> None:
    network, latents = decoder(), torch.randn(50, 3)
    labels = torch.arange(50) % 2
    whole = network(latents, labels)
    for rows in (slice(0, 1), slice(7, 20), slice(49, 50)):
        assert torch.equal(network(latents[rows], labels[rows]), whole[rows])

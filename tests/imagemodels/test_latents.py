import numpy as np
import pytest
import torch

from imagemodels.latents import LatentSource, between, piece_images
from imagemodels.networks.forest import ForestDecoder, ForestSpec
from imagemodels.networks.mlp import MlpDecoder
from imagemodels.networks.specs import MlpDecoderSpec
from imagemodels.random import latents, uniforms

SIZE = 3


def decoder(parts: int, num_classes: int = 0, size: int = SIZE) -> MlpDecoder:
    spec = MlpDecoderSpec(
        image_size=8, channels=1, latent_size=size, width=4, depth=1, num_classes=num_classes, prior_parts=parts
    )
    network = MlpDecoder(spec)
    if network.prior is not None:
        torch.manual_seed(1)
        groups = max(1, num_classes)
        network.prior.weights.copy_(torch.softmax(torch.randn(groups, parts), 1))
        network.prior.means.copy_(torch.randn(groups, parts, size) * 20)
        network.prior.factors.copy_(torch.randn(groups, parts, size, size).tril())
    return network


def test_without_a_prior_latents_are_the_plain_ones() -> None:
    indices = np.arange(50)
    assert np.array_equal(LatentSource(decoder(0)).draw(4, indices, None), latents(4, indices, SIZE))


def test_an_unfilled_prior_is_the_standard_normal() -> None:
    network = decoder(0)
    network.use_prior(5)
    indices = np.arange(50)
    np.testing.assert_allclose(LatentSource(network).draw(4, indices, None), latents(4, indices, SIZE), atol=1e-6)


@pytest.mark.parametrize(("parts", "num_classes", "size"), [(1, 0, 16), (4, 0, 64), (1, 3, 16), (2, 3, 65)])
def test_any_split_and_order_of_the_numbers_gives_the_same_latents_bit_for_bit(
    parts: int, num_classes: int, size: int
) -> None:
    source = LatentSource(decoder(parts, num_classes, size))
    indices = np.arange(2 * piece_images(size) + 100)
    labels = indices * 7 % num_classes if num_classes else None
    whole = source.draw(9, indices, labels)
    assert whole.dtype == np.float32
    shuffled = np.random.default_rng(0).permutation(len(indices))
    for rows in (shuffled, indices[5:6], indices[17:90], indices[-1:]):
        part = source.draw(9, indices[rows], labels[rows] if labels is not None else None)
        assert np.array_equal(part, whole[rows])
    assert not np.array_equal(whole, source.draw(10, indices, labels))


@pytest.mark.parametrize("size", [2, 64, 512, 4096])
def test_the_copies_of_the_factors_stay_small_however_large_the_latents(size: int) -> None:
    assert piece_images(size) == 1 or piece_images(size) * size**2 * 4 <= 2**20  # bytes


def test_each_class_is_drawn_from_its_own_gaussians_in_their_shares() -> None:
    network = decoder(2, num_classes=3)
    assert network.prior is not None
    prior = network.prior
    labels = np.arange(30_000) % 3
    found = LatentSource(network).draw(0, np.arange(30_000), labels)
    for label in range(3):
        mine = torch.from_numpy(found[labels == label])
        part = torch.cdist(mine, prior.means[label]).argmin(1)  # the means lie far apart
        assert float((part == 0).float().mean()) == pytest.approx(float(prior.weights[label, 0]), abs=0.02)
        for number in range(2):
            chosen, factor = mine[part == number], prior.factors[label, number]
            torch.testing.assert_close(chosen.mean(0), prior.means[label, number], atol=0.1, rtol=0)
            torch.testing.assert_close(torch.cov(chosen.t()), factor @ factor.t(), atol=0.25, rtol=0.1)


def test_uniform_numbers_are_uniform_and_belong_to_their_images() -> None:
    whole = uniforms(3, np.arange(20_000), "parts")
    assert whole.min() >= 0
    assert whole.max() < 1
    assert np.histogram(whole, 10, (0, 1))[0].min() > 1_800
    assert np.array_equal(uniforms(3, np.array([7, 19_999, 0]), "parts"), whole[[7, 19_999, 0]])
    assert not np.array_equal(whole, uniforms(3, np.arange(20_000), "others"))


def test_the_way_between_latents_is_an_arc_at_an_even_pace() -> None:
    first, second = np.array([[3.0, 0, 0]], dtype=np.float32), np.array([[0, 3.0, 0]], dtype=np.float32)
    shares = np.linspace(0, 1, 7)
    way = between(np.repeat(first, 7, 0), np.repeat(second, 7, 0), shares)
    angles = shares * np.pi / 2
    assert way == pytest.approx(3 * np.stack((np.cos(angles), np.sin(angles), 0 * angles), 1), abs=1e-6)


def test_a_way_begins_and_ends_at_its_ends_whatever_their_lengths() -> None:
    random = np.random.default_rng(3)
    first, second = random.normal(size=(2, 20, 8)).astype(np.float32) * np.array([1, 9], np.float32)[:, None, None]
    assert np.array_equal(between(first, second, np.zeros(20)), first)
    assert between(first, second, np.ones(20)) == pytest.approx(second, abs=1e-6)
    half = between(first, second, np.full(20, 0.5))
    apart = [np.sum(half * end, 1) / np.linalg.norm(end, axis=1) for end in (first, second)]
    assert np.isfinite(half).all()
    assert (np.linalg.norm(half, axis=1) > 0.9).all()
    assert (apart[0] > -1e-6).all() or (apart[1] > -1e-6).all()


@pytest.mark.parametrize("second", [[2.0, 0, 0], [-2.0, 0, 0], [5.0, 0, 0]])
def test_parallel_ends_are_joined_by_a_straight_line(second: list[float]) -> None:
    ends = np.array([[[2.0, 0, 0]], [second]], dtype=np.float32)
    assert between(ends[0], ends[1], np.array([0.25])) == pytest.approx(0.75 * ends[0] + 0.25 * ends[1])


def test_truncation_brings_latents_nearer_to_the_mean_of_their_gaussian() -> None:
    network = decoder(4, 3)
    source, indices = LatentSource(network), np.arange(30)
    labels = indices % 3
    assert network.prior is not None
    whole, half = source.draw(2, indices, labels), source.draw(2, indices, labels, 0.5)
    means = source.draw(2, indices, labels, 0.0)
    assert {tuple(row) for row in means} <= {tuple(row) for row in network.prior.means.flatten(0, 1).numpy()}
    np.testing.assert_allclose(half, (whole + means) / 2, rtol=1e-5, atol=1e-5)
    assert np.array_equal(source.draw(2, indices, labels, 1.0), whole)


def test_truncation_leaves_the_latent_that_chooses_a_leaf_of_a_forest() -> None:
    forest = ForestDecoder(ForestSpec(image_size=8, channels=1, latent_size=4, groups=1, leaves=1))
    source, indices = LatentSource(forest), np.arange(9)
    whole, half = source.draw(2, indices, None), source.draw(2, indices, None, 0.5)
    assert np.array_equal(half, whole * np.array([1, 0.5, 0.5, 0.5], np.float32))

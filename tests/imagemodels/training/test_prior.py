import numpy as np
import pytest
import torch

from imagemodels.networks.prior import GaussianPrior, LatentDecoder
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.autoencoder import AutoencoderTask
from imagemodels.training.events import Quality, Samples
from imagemodels.training.prior import Encoded, fit, nearest_centres
from imagemodels.training.stream import ImageStream
from tests.imagemodels.training.test_trainer import BATCH, SMALL, new_trainer, small_config


def cloud(count: int, mean: list[float], spread: list[list[float]], seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, len(mean), generator=generator) @ torch.tensor(spread).t() + torch.tensor(mean)


def test_each_class_gets_the_mean_and_the_covariance_of_its_images() -> None:
    first = cloud(4000, [5.0, 0.0], [[1.0, 0.0], [0.8, 0.5]], 1)
    second = cloud(4000, [-3.0, 2.0], [[0.2, 0.0], [0.0, 2.0]], 2)
    variances = torch.tensor([[0.5, 0.25]]).repeat(8000, 1)
    prior = GaussianPrior(2, 1, 2)
    fit(prior, Encoded(torch.cat((first, second)), variances, torch.tensor([0, 1]).repeat_interleave(4000)))
    for group, points in enumerate((first, second)):
        factor = prior.factors[group, 0]
        expected = torch.cov(points.t()) + torch.diag(torch.tensor([0.5, 0.25]))
        torch.testing.assert_close(prior.means[group, 0], points.mean(0), atol=1e-4, rtol=0)
        torch.testing.assert_close(factor @ factor.t(), expected, atol=0.01, rtol=0.01)
        assert torch.equal(factor, factor.tril())


def test_without_classes_the_clusters_of_the_images_are_found_with_their_shares() -> None:
    centres = [[20.0, 0.0], [0.0, 20.0], [-20.0, -20.0]]
    clouds = [
        cloud(count, centre, [[1.0, 0], [0, 1.0]], count)
        for count, centre in zip((100, 300, 600), centres, strict=True)
    ]
    points = torch.cat(clouds)[torch.randperm(1000, generator=torch.Generator().manual_seed(0))]
    prior = GaussianPrior(1, 3, 2)
    fit(prior, Encoded(points, torch.zeros_like(points), None))
    found = sorted(zip(prior.weights[0].tolist(), prior.means[0].tolist(), strict=True))
    assert [share for share, _ in found] == pytest.approx([0.1, 0.3, 0.6])
    np.testing.assert_allclose([mean for _, mean in found], centres, atol=0.3)


def test_a_class_of_few_images_borrows_the_shape_of_all_and_one_of_none_stands_in_the_middle() -> None:
    many = cloud(2000, [0.0, 0.0, 0.0], [[3.0, 0, 0], [0, 1.0, 0], [0, 0, 0.5]], 3)
    lone = torch.tensor([[9.0, 9.0, 9.0]])
    points, labels = torch.cat((many, lone)), torch.tensor([0] * 2000 + [1])
    prior = GaussianPrior(3, 1, 3)
    fit(prior, Encoded(points, torch.zeros_like(points), labels))
    assert torch.equal(prior.means[1, 0], lone[0])
    borrowed = prior.factors[1, 0] @ prior.factors[1, 0].t()
    torch.testing.assert_close(borrowed, 3 / (1 + 3) * torch.cov(many.t()), rtol=0.01, atol=0.01)
    torch.testing.assert_close(prior.means[2, 0], points.mean(0))


def test_a_part_without_images_is_never_drawn_from_unless_its_whole_class_has_none() -> None:
    prior = GaussianPrior(2, 2, 3)
    fit(prior, Encoded(torch.ones(1, 3), torch.ones(1, 3), torch.tensor([0])))
    assert prior.weights.tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_latents_that_never_move_have_a_factor_too() -> None:
    prior = GaussianPrior(1, 1, 4)
    fit(prior, Encoded(torch.ones(10, 4), torch.zeros(10, 4), None))
    assert prior.factors.isfinite().all()
    assert float(prior.factors.abs().max()) < 0.01


def test_clusters_are_the_same_at_each_call_and_as_many_as_asked_for() -> None:
    points = cloud(500, [0.0, 0.0], [[1.0, 0], [0, 1.0]], 5).double()
    first = nearest_centres(points, 7)
    assert torch.equal(first, nearest_centres(points, 7))
    assert sorted(set(first.tolist())) == list(range(7))
    assert nearest_centres(points[:3], 7).tolist() == [0, 1, 2]


@pytest.mark.parametrize("preset", ["vae", "vae-gan", "mlp-vae"])
@pytest.mark.parametrize(("num_classes", "parts"), [(10, 1), (0, 10)])
def test_an_autoencoder_draws_from_its_images_and_training_goes_on_untouched(
    preset: str, num_classes: int, parts: int
) -> None:
    asked, plain = (new_trainer(small_config(preset, 3, num_classes=num_classes)) for _ in range(2))
    for trainer in (asked, plain):
        for step in range(3):
            trainer.task.step(trainer.stream.batch(step))
            if trainer is asked:
                network = trainer.generator().network
                assert isinstance(network, LatentDecoder)
                assert network.spec.prior_parts == parts
                assert network.prior is not None
                assert not torch.equal(network.prior.means, torch.zeros_like(network.prior.means))
    for name, trained in asked.task.networks.items():
        states = zip(trained.state_dict().items(), plain.task.networks[name].state_dict().values(), strict=True)
        assert [key for (key, mine), theirs in states if not torch.equal(mine, theirs)] == []


def test_a_sample_grid_and_a_measurement_of_one_step_share_one_fit() -> None:
    trainer = new_trainer(small_config("vae", 4, evaluate_every=2 * BATCH, samples_every=2 * BATCH))
    encoded: list[int] = []

    def count(network: torch.nn.Module, images: tuple[torch.Tensor]) -> None:
        if not network.training:
            encoded.append(len(images[0]))

    trainer.task.networks["encoder"].register_forward_pre_hook(count)
    kinds = [type(event) for event in trainer.run()]
    assert (kinds.count(Samples), kinds.count(Quality)) == (3, 2)
    assert isinstance(trainer.stream, ImageStream)
    assert encoded == [trainer.stream.count] * 3


def test_samples_lie_nearer_to_the_data_than_those_of_the_standard_normal() -> None:
    overrides = {"width": 8, "kl_weight": 0.05}  # a weak pull towards the standard normal: latents lie far outside
    trainer = new_trainer(small_config("vae", 300, evaluate_every=0, samples_every=0, overrides=overrides))
    for _ in trainer.run():
        pass
    fitted = trainer.generator()
    plain = trainer.generator()
    assert isinstance(plain.network, LatentDecoder)
    plain.network.use_prior(0)
    plain = Generator(plain.network, Runtime(threads=1))
    assert isinstance(trainer.task, AutoencoderTask)
    assert isinstance(trainer.stream, ImageStream)
    pixels, labels = trainer.stream.pictures(torch.arange(50))
    assert labels is not None

    def distance(generator: Generator) -> float:
        indices = np.arange(50)
        made = torch.from_numpy(generator.sample(0, indices, labels.numpy())).permute(0, 3, 1, 2)
        apart = torch.cdist(made.flatten(1).float(), pixels.flatten(1).float())
        return float(apart.min(1).values.mean())

    assert distance(fitted) < 0.8 * distance(plain)


def test_no_mixture_leaves_the_standard_normal() -> None:
    trainer = new_trainer(small_config("vae", 1, overrides=SMALL["vae"] | {"mixture": 0}))
    assert trainer.generator().network.prior is None

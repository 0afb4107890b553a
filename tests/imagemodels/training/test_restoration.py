"""What restoration is trained on, and by what."""

from typing import Any

import numpy as np
import pytest
import torch

from imagemodels.errors import DataError
from imagemodels.objectives import ns_generator
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.paired_stream import PairedStream
from imagemodels.training.restoration import RestorationTask
from imagemodels.training.restoration_trainer import RestorationTrainer
from imagemodels.training.translation import TranslationTask
from tests.imagemodels.pictures import digits

RUNTIME = Runtime(threads=1)
IMAGES = digits()[0][:40]


def config(preset: str, **overrides: Any) -> TrainConfig:
    narrow = {"width": 4, "halvings": 1} | ({"discriminator_width": 4} if preset == "pix2pix" else {})
    return TrainConfig(
        preset=preset, image_size=8, channels=1, images=32, batch_size=8, overrides=narrow | overrides, seed=3
    )


def damaged(step: int, micro_batch: int = 8, seed: int = 3) -> torch.Tensor:
    trainer = RestorationTrainer(config("conv-ae"), IMAGES, RUNTIME)
    task = trainer.task
    assert isinstance(task, RestorationTask)
    task.seed = seed
    batch = trainer.stream.batch(step)
    return torch.cat([task.damaged(part).images - part.images for part in batch.parts(micro_batch)])


def test_damage_is_a_function_of_seed_and_step_however_the_step_is_cut() -> None:
    assert torch.equal(damaged(1), damaged(1, micro_batch=3))
    assert not torch.equal(damaged(1), damaged(2))
    assert not torch.equal(damaged(1), damaged(1, seed=4))


def test_the_error_falls_below_that_of_the_damaged_images() -> None:
    trainer = RestorationTrainer(config("conv-ae", width=8, degradation="blur", learning_rate=5e-3), IMAGES, RUNTIME)
    losses = [float(trainer.task.step(trainer.stream.batch(step))["reconstruction"]) for step in range(40)]
    assert np.mean(losses[-5:]) < 0.9 * losses[0]  # which was about that of what it is given


def test_the_restorer_minimises_what_the_paper_says_and_the_discriminator_stays() -> None:
    trainer = RestorationTrainer(config("pix2pix", reconstruction_weight=10.0), IMAGES, RUNTIME)
    task = trainer.task
    assert isinstance(task, TranslationTask)
    batch = trainer.stream.batch(0)
    given = task.damaged(batch)
    made = task.restored(given)
    task.discriminator.eval()  # its spectral norms stand still
    loss, shown = task._restorer_losses(batch, given, made)
    fooled = ns_generator(task.discriminator(given.images, made))
    torch.testing.assert_close(loss, fooled + 10.0 * (made - batch.images).abs().mean())
    torch.testing.assert_close(shown["reconstruction"], (made - batch.images).abs().mean())
    torch.autograd.backward(loss)
    assert all(weight.grad is None for weight in task.discriminator.parameters())
    of_discriminator, _ = task._discriminator_losses(batch, given, made.detach())
    softplus = torch.nn.functional.softplus
    true, fake = (task.discriminator(given.images, images) for images in (batch.images, made))
    torch.testing.assert_close(of_discriminator, softplus(-true).mean() + softplus(fake).mean())


def test_a_pair_is_flipped_and_cropped_alike() -> None:
    chosen = config("conv-ae", degradation="given", horizontal_flips=True, vertical_flips=True, crop=0.3)
    stream = PairedStream(chosen, 255 - IMAGES, IMAGES, RUNTIME)
    for step in range(3):
        batch = stream.batch(step)
        assert batch.given is not None
        torch.testing.assert_close(batch.given, -batch.images)
        (part, *_) = batch.parts(3)
        assert part.given is not None
        assert torch.equal(part.given, batch.given[:3])
    stream.reseed(9)
    batch = stream.batch(0)
    assert batch.given is not None
    torch.testing.assert_close(batch.given, -batch.images)
    assert stream.digest != PairedStream(chosen, IMAGES, IMAGES, RUNTIME).digest


@pytest.mark.parametrize(("degradation", "given"), [("given", None), ("noise", IMAGES), ("given", IMAGES[:3])])
def test_pairs_and_damage_exclude_each_other(degradation: str, given: torch.Tensor | None) -> None:
    with pytest.raises(DataError):
        RestorationTrainer(config("conv-ae", degradation=degradation), IMAGES, RUNTIME, given=given)


def test_without_held_out_images_those_of_the_training_are_measured() -> None:
    trainer = RestorationTrainer(config("conv-ae"), IMAGES, RUNTIME, test_images=IMAGES[:0])
    assert not trainer.measures_held_out
    assert len(trainer.measured) == len(IMAGES)
    assert RestorationTrainer(config("conv-ae"), IMAGES, RUNTIME, test_images=IMAGES[:7]).measures_held_out

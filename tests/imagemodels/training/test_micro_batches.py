"""Steps that are cut into parts because the memory holds no more: the same training, up to the order of sums."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from imagemodels.errors import OutOfMemory
from imagemodels.networks.partial import part_of_a_batch
from imagemodels.networks.spectral import SpectralNorm
from imagemodels.training.descent import Descent
from imagemodels.training.events import Step
from tests.imagemodels.training.test_trainer import BATCH, SMALL, new_trainer, resumed, small_config, state_of

pytestmark = pytest.mark.long

WITHOUT_BATCH_NORM: dict[str, tuple[str, dict[str, Any]]] = {
    "hinge": ("sngan", {"norm": "none"}),
    "ns": ("dcgan", {"norm": "none", "discriminator_norm": "none"}),
    "ls": ("sngan", {"norm": "none", "adversarial": "ls", "residual": False}),
    "wgan": ("sngan", {"norm": "none", "adversarial": "wgan"}),
    "rp r1r2": ("sngan", {"norm": "none", "adversarial": "rp", "penalty": "r1r2", "penalty_weight": 0.1}),
    "wgan gp": ("sngan", {"norm": "none", "adversarial": "wgan", "penalty": "gp", "spectral_norm": False}),
}


def trainer_of(preset: str, steps: int = 3, **overrides: Any) -> Descent:
    config = small_config(preset, steps, evaluate_every=0, samples_every=0, overrides=SMALL[preset] | overrides)
    return new_trainer(config)


def trained(trainer: Descent, micro_batch: int = BATCH) -> Descent:
    trainer.micro_batch = micro_batch
    for _ in trainer.run():
        pass
    return trainer


def weights(trainer: Descent) -> Tensor:
    parameters = [weight for network in trainer.task.networks.values() for weight in network.parameters()]
    return torch.cat([weight.detach().flatten() for weight in parameters])


def gradients(trainer: Descent, micro_batch: int) -> Tensor:
    """Of the first step, while the discriminator barely moves: its first move has the size of the learning rate."""
    trainer.task.step(trainer.stream.batch(0), micro_batch)
    parameters = [weight for network in trainer.task.networks.values() for weight in network.parameters()]
    return torch.cat([weight.grad.flatten() for weight in parameters if weight.grad is not None])


@pytest.mark.parametrize("micro_batch", [5, 1])
@pytest.mark.parametrize("loss", WITHOUT_BATCH_NORM)
def test_without_batch_norm_a_step_in_parts_has_the_gradients_of_the_whole(loss: str, micro_batch: int) -> None:
    preset, overrides = WITHOUT_BATCH_NORM[loss]
    still = overrides | {"discriminator_learning_rate": 1e-7}
    whole = gradients(trainer_of(preset, **still), BATCH)
    parts = gradients(trainer_of(preset, **still), micro_batch)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5 * float(whole.abs().max()))


@pytest.mark.parametrize("loss", WITHOUT_BATCH_NORM)
def test_without_batch_norm_the_weights_are_those_of_the_undivided_run(loss: str) -> None:
    preset, overrides = WITHOUT_BATCH_NORM[loss]
    start = weights(trainer_of(preset, **overrides))
    whole = weights(trained(trainer_of(preset, **overrides)))
    parts = weights(trained(trainer_of(preset, **overrides), 5))
    # Adam turns the rounding error of a gradient that is nearly zero into a step of any size: not one by one.
    assert (parts - whole).norm() < 2e-2 * (whole - start).norm()


@pytest.mark.parametrize(
    ("preset", "overrides"), [("cnn", {}), ("vae", {"reconstruction": "mse"}), ("convlstm", {}), ("predrnn", {})]
)
def test_with_fixed_statistics_so_have_the_other_families(preset: str, overrides: dict[str, Any]) -> None:
    def step(micro_batch: int) -> Tensor:
        trainer = trainer_of(preset, **overrides)
        for layer in (layer for network in trainer.task.networks.values() for layer in network.modules()):
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return gradients(trainer, micro_batch)

    whole = step(BATCH)
    torch.testing.assert_close(step(5), whole, rtol=1e-4, atol=1e-5 * float(whole.abs().max()))


@pytest.mark.parametrize("preset", SMALL)
def test_the_losses_that_are_shown_are_means_over_the_whole_batch(preset: str) -> None:
    shown = {}
    for micro_batch in (BATCH, 5):
        trainer = trainer_of(preset)
        shown[micro_batch] = trainer.task.step(trainer.stream.batch(0), micro_batch)
    for name, whole in shown[BATCH].items():
        assert float(shown[5][name]) == pytest.approx(float(whole), rel=0.2)  # each part has statistics of its own


@pytest.mark.parametrize("preset", SMALL)
def test_a_resumed_run_keeps_its_micro_batch_bit_for_bit(preset: str) -> None:
    expected = trained(trainer_of(preset, steps=4), 5)
    first = trainer_of(preset, steps=4)
    first.micro_batch = 5
    run = first.run()
    next(run), next(run)
    second = resumed(first.config, state_of(first))
    assert second.micro_batch == 5
    for _ in second.run():
        pass
    assert state_of(second) == state_of(expected)


def test_a_step_for_whose_way_back_there_is_no_memory_leaves_everything_as_it_was() -> None:
    trainer = trainer_of("mlp-gan")
    steps = (event for event in trainer.run() if isinstance(event, Step))
    next(steps)
    before = state_of(trainer)
    trainer.task.networks["discriminator"].register_buffer("huge", torch.zeros(1).expand(2**50), persistent=False)
    with pytest.raises(OutOfMemory, match="does not hold a training step; tried batches of 16, 8, 4, 2, 1"):
        next(steps)
    assert state_of(trainer) == before


def test_noise_and_images_do_not_depend_on_how_a_step_is_cut() -> None:
    trainer = trainer_of("sngan")
    batch = trainer.stream.batch(1)
    whole = trainer.task.noise(batch, 7, "latents")
    parts = batch.parts(5)
    assert [part.rows for part in parts] == [slice(0, 5), slice(5, 10), slice(10, 15), slice(15, 16)]
    assert sum(part.share for part in parts) == 1.0
    assert torch.equal(torch.cat([part.images for part in parts]), batch.images)
    assert batch.labels is not None
    assert torch.equal(torch.cat([part.labels for part in parts if part.labels is not None]), batch.labels)
    assert torch.equal(torch.cat([trainer.task.noise(part, 7, "latents") for part in parts]), whole)
    assert batch.parts(BATCH) == [batch]


def test_running_statistics_move_as_far_for_all_parts_as_for_one_batch() -> None:
    whole, parts = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    maps = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    whole(maps)
    for part, share in ((maps, 0.5), (maps, 0.25), (maps, 0.25)):
        with part_of_a_batch([parts], share, is_first=False):
            parts(part)
    torch.testing.assert_close(parts.running_mean, whole.running_mean)
    torch.testing.assert_close(parts.running_var, whole.running_var)
    assert parts.momentum == whole.momentum


def test_spectral_norms_iterate_once_for_all_parts() -> None:
    trainer = trainer_of("sngan", discriminator_learning_rate=1e-7, norm="none")
    other = trainer_of("sngan", discriminator_learning_rate=1e-7, norm="none")
    trainer.task.step(trainer.stream.batch(0), 5)
    other.task.step(other.stream.batch(0))
    for mine, theirs in zip(spectral_norms(trainer), spectral_norms(other), strict=True):
        torch.testing.assert_close(mine.left, theirs.left, rtol=1e-3, atol=1e-4)
        assert mine.iterates


def spectral_norms(trainer: Descent) -> list[SpectralNorm]:
    return [layer for layer in trainer.task.networks["discriminator"].modules() if isinstance(layer, SpectralNorm)]


@contextmanager
def short_memory(trainer: Descent, network: str, fitting: int, after: int = 0) -> Iterator[list[int]]:
    """Let a network's passes of more than `fitting` images ask for more memory than there is, after so many passes."""
    passes: list[int] = []

    def ask(_network: nn.Module, inputs: tuple[Any, ...]) -> None:
        passes.append(len(inputs[0]))
        if len(inputs[0]) > fitting and len(passes) > after:
            torch.empty(2**50, dtype=torch.uint8)

    handle = trainer.task.networks[network].register_forward_pre_hook(ask)
    yield passes
    handle.remove()


# (what runs short, images of its passes that fit, passes before): the discriminator sees reals and fakes at once,
# then fakes alone, so that with 15 it is the generator's half of the step that fails, after the discriminator moved.
CASES = [("vae", "decoder", 8, 0), ("cnn", "classifier", 8, 1), ("dcgan", "generator", 8, 1)]
CASES += [("sngan", "discriminator", 15, 0), ("dcgan", "discriminator", 15, 3), ("sngan", "discriminator", 15, 1)]


@pytest.mark.parametrize(("preset", "network", "fitting", "after"), CASES)
def test_a_step_that_ran_out_of_memory_is_as_if_it_had_never_begun(
    preset: str, network: str, fitting: int, after: int
) -> None:
    trainer = trainer_of(preset, steps=3)
    with short_memory(trainer, network, fitting, after):
        sizes = [trainer.micro_batch for event in trainer.run() if isinstance(event, Step)]
    assert sizes[-1] < BATCH
    expected = trainer_of(preset, steps=3)
    with expected.runtime.activated():  # the same number of threads adds in the same order
        for step, size in enumerate(sizes):
            expected.task.step(expected.stream.batch(step), size)
            expected.step = step + 1
            expected.averaged.update(expected.images_seen, BATCH)
    expected.micro_batch = sizes[-1]
    assert state_of(trainer) == state_of(expected)


def test_what_was_moved_early_is_moved_back() -> None:
    trainer = trainer_of("dcgan")
    before = state_of(trainer)
    with short_memory(trainer, "discriminator", 0, after=1), pytest.raises(OutOfMemory, match="16, 8, 4, 2, 1"):
        next(trainer.run())
    assert state_of(trainer) == before
    assert all(weight.grad is None for net in trainer.task.networks.values() for weight in net.parameters())


def test_sizes_that_do_not_divide_the_batch_are_weighed_by_their_images() -> None:
    batch = trainer_of("cnn").stream.batch(0)
    shares = [part.share for part in batch.parts(6)]
    assert shares == [6 / 16, 6 / 16, 4 / 16]
    assert replace(batch, first=3).parts(6)[1].first == 9

import math

import pytest
import torch

from benchmarks.train_speed import FIRST_STEP_TOLERANCE, loss_differences
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.descent import Descent
from imagemodels.training.discriminating import frozen
from imagemodels.training.meter import Meter
from imagemodels.training.trainer import Trainer
from tests.imagemodels.training.test_trainer import SMALL, new_trainer, small_config


def test_the_first_step_has_the_losses_of_the_plain_loop() -> None:
    config = TrainConfig(
        preset="dcgan",
        image_size=64,
        channels=3,
        images=100,
        batch_size=16,
        overrides={"width": 8, "discriminator_width": 8},
    )
    images = torch.randint(0, 256, (50, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    differences = loss_differences(Trainer(config, images, None, Runtime(threads=1)))
    assert differences[0] < FIRST_STEP_TOLERANCE


def steps_of(trainer: Descent, count: int) -> list[dict[str, float]]:
    """What is shown of the first steps."""
    shown = [trainer.task.step(trainer.stream.batch(step)) for step in range(count)]
    return [{name: float(value) for name, value in losses.items()} for losses in shown]


@pytest.mark.parametrize("penalty", ["r1", "r1r2", "gp"])
@pytest.mark.parametrize("preset", ["dcgan", "sngan"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_penalty_comes_in_its_turn_and_is_finite(preset: str, penalty: str, precision: str) -> None:
    changes = SMALL[preset] | {"penalty": penalty, "penalty_every": 2}
    trainer = new_trainer(small_config(preset, precision=precision, overrides=changes))
    shown = steps_of(trainer, 3)
    assert ["penalty" in losses for losses in shown] == [True, False, True]
    assert all(losses["penalty"] >= 0 and math.isfinite(losses["penalty"]) for losses in shown if "penalty" in losses)


def test_a_penalty_holds_a_discriminator_that_nothing_else_bounds() -> None:
    unbounded = {"adversarial": "wgan", "spectral_norm": False, "discriminator_norm": "none", "penalty": "gp"}
    off_one = []
    for weight in (0.0, 10.0):
        changes = SMALL["dcgan"] | unbounded | {"penalty_weight": weight, "discriminator_learning_rate": 5e-3}
        off_one.append(steps_of(new_trainer(small_config("dcgan", overrides=changes)), 30)[-1]["penalty"])
    free, held = off_one
    assert held < 0.2 < 10 < free


def test_a_lazy_penalty_weighs_as_much_in_the_long_run() -> None:
    def moved(**changes: object) -> torch.Tensor:
        """How far the penalty alone pulls the first layer in its first step."""
        both = []
        for weight in (0.0, 1.0):
            overrides = SMALL["dcgan"] | {"penalty": "r1", "penalty_weight": weight} | changes
            trainer = new_trainer(small_config("dcgan", overrides=overrides))
            trainer.task.step(trainer.stream.batch(0))
            first = next(trainer.task.networks["discriminator"].parameters())
            assert first.grad is not None
            both.append(first.grad.clone())
        return both[1] - both[0]

    torch.testing.assert_close(moved(penalty_every=4), 4 * moved(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("policy", [{"recolour": True}, {"cutout": 0.5}])
def test_augmentation_changes_what_the_discriminator_sees(policy: dict[str, object]) -> None:
    plain, augmented = (
        steps_of(new_trainer(small_config("sngan", channels=3, overrides=SMALL["sngan"] | changes)), 1)[0]
        for changes in ({}, policy)
    )
    assert plain["discriminator"] != augmented["discriminator"]
    assert plain["generator"] != augmented["generator"]


@pytest.mark.parametrize("preset", ["sngan", "vae", "cnn"])
def test_a_clipped_gradient_is_no_longer_than_allowed(preset: str) -> None:
    lengths = []
    for limit in (0.0, 1e-3):
        trainer = new_trainer(small_config(preset, overrides=SMALL[preset] | {"gradient_clip": limit}))
        trainer.task.step(trainer.stream.batch(0))
        grads = [weight.grad for weight in trainer.task.product.parameters() if weight.grad is not None]
        lengths.append(float(torch.cat([grad.flatten() for grad in grads]).norm()))
    free, clipped = lengths
    assert clipped <= 1.001e-3 < free


def test_the_generator_waits_for_its_turn() -> None:
    trainer = new_trainer(small_config("sngan", overrides=SMALL["sngan"] | {"generator_every": 3}))
    before = [weight.detach().clone() for weight in trainer.task.product.parameters()]
    shown = [steps_of_one(trainer, step) for step in range(3)]
    assert ["generator" in losses for losses, _weights in shown] == [False, False, True]
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(before, shown[1][1], strict=True))
    assert not all(torch.equal(mine, theirs) for mine, theirs in zip(before, shown[2][1], strict=True))


def steps_of_one(trainer: Descent, step: int) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    losses = trainer.task.step(trainer.stream.batch(step))
    return losses, [weight.detach().clone() for weight in trainer.task.product.parameters()]


def test_losses_that_not_every_step_has_are_means_of_those_that_have_them() -> None:
    meter = Meter()
    meter.add({"discriminator": torch.tensor(1.0), "penalty": torch.tensor(6.0)}, 4, 0.1)
    meter.add({"discriminator": torch.tensor(3.0)}, 4, 0.1)
    means, _speed = meter.report()
    assert means == {"discriminator": 2.0, "penalty": 6.0}


def test_a_frozen_network_passes_gradients_on_and_keeps_none() -> None:
    layer = torch.nn.Linear(3, 1)
    inputs = torch.ones(2, 3, requires_grad=True)
    with frozen(layer):
        outputs = layer(inputs)
    torch.autograd.backward(outputs.sum())
    assert inputs.grad is not None
    assert layer.weight.grad is None
    assert layer.weight.requires_grad


def test_a_network_is_thawed_after_an_error() -> None:
    layer = torch.nn.Linear(3, 1)
    with pytest.raises(KeyError), frozen(layer):
        raise KeyError
    assert layer.weight.requires_grad

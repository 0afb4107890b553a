import pytest
import torch

from benchmarks.train_speed import FIRST_STEP_TOLERANCE, loss_differences
from imagemodels.runtime import Runtime
from imagemodels.training.adversarial import frozen
from imagemodels.training.config import TrainConfig
from imagemodels.training.trainer import Trainer


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

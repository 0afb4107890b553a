"""Our optimizers against torch's: the same bits, without the compiler."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from imagemodels.training.adam import Adam
from imagemodels.training.optimizer import Optimizer
from imagemodels.training.sgd import Sgd
from tests.imagemodels.training.test_trainer import SMALL, finished_state, new_trainer, resumed, small_config, state_of

BETAS, WEIGHT_DECAY = (0.5, 0.99), 0.01
STEPS = 5


def network() -> nn.Sequential:
    """With a weight that never gets a gradient."""
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 2, 3), nn.Linear(4, 4))
    return layers.to(torch.device("cpu"), memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class Pair:
    """One of ours, and torch's own."""

    ours: Callable[[nn.Module], Optimizer]
    theirs: Callable[[nn.Module], torch.optim.Optimizer]


def sgd_pair(momentum: float) -> Pair:
    settings: dict[str, Any] = {"momentum": momentum, "weight_decay": WEIGHT_DECAY}
    return Pair(
        lambda layers: Sgd(layers.parameters(), 1e-2, **settings),
        lambda layers: SGD(layers.parameters(), 1e-2, fused=True, **settings),
    )


PAIRS: Mapping[str, Pair] = {
    "adam": Pair(
        lambda layers: Adam(layers.parameters(), 1e-2, betas=BETAS, weight_decay=WEIGHT_DECAY),
        lambda layers: AdamW(layers.parameters(), 1e-2, fused=True, betas=BETAS, weight_decay=WEIGHT_DECAY),
    ),
    "sgd": sgd_pair(0.9),
    "sgd without momentum": sgd_pair(0.0),
}


def grow_gradients(layers: nn.Sequential, step: int) -> None:
    random = torch.Generator().manual_seed(step)
    layers.zero_grad()
    layers[:3](torch.randn(4, 3, 8, 8, generator=random)).square().mean().backward()


def descend(layers: nn.Sequential, optimizer: Optimizer | torch.optim.Optimizer, steps: range) -> list[torch.Tensor]:
    for step in steps:
        grow_gradients(layers, step)
        optimizer.step()
    return [weight.detach() for weight in layers.parameters()]


@pytest.mark.parametrize("kind", PAIRS)
def test_it_moves_the_weights_as_torchs_does_to_the_bit(kind: str) -> None:
    mine, other = network(), network()
    found = descend(mine, PAIRS[kind].ours(mine), range(STEPS))
    expected = descend(other, PAIRS[kind].theirs(other), range(STEPS))
    assert all(map(torch.equal, found, expected))
    assert not torch.equal(found[0], next(network().parameters()))


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("is_ours", [True, False])
def test_it_goes_on_from_what_it_or_torch_has_saved(kind: str, is_ours: bool) -> None:
    pair = PAIRS[kind]
    straight, changed = network(), network()
    expected = descend(straight, pair.theirs(straight), range(STEPS))
    first = pair.ours(changed) if is_ours else pair.theirs(changed)
    second = pair.ours(changed)
    descend(changed, first, range(3))
    second.load_state_dict(first.state_dict())
    assert all(map(torch.equal, descend(changed, second, range(3, STEPS)), expected))


def test_momentum_is_the_sum_of_the_gradients_with_fading_weights() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = Sgd([weight], 0.1, momentum=0.5)
    for gradient in ([1.0, 0.0], [0.0, 4.0], [2.0, 2.0]):
        weight.grad = torch.tensor(gradient)
        optimizer.step()
    moved = torch.tensor([1 + 0.5 + 2.25, 0 + 4 + 4]) * 0.1  # the momentum after each step
    torch.testing.assert_close(weight.detach(), torch.tensor([1.0, -2.0]) - moved)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_moments_of_other_weights_are_refused(kind: str) -> None:
    pair = PAIRS[kind]
    optimizer, other = pair.ours(network()), network()
    stored = pair.theirs(other)
    descend(other, stored, range(1))
    optimizer.load_state_dict(stored.state_dict())
    for layers in (nn.Linear(2, 2), nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 3), nn.Linear(4, 4))):
        with pytest.raises(ValueError, match="other weights"):
            pair.ours(layers).load_state_dict(optimizer.state_dict())


def test_moments_of_another_optimizer_are_refused() -> None:
    layers = network()
    stored = PAIRS["sgd"].ours(layers)
    descend(layers, stored, range(1))
    with pytest.raises(ValueError, match="momentum_buffer are those of another optimizer"):
        PAIRS["adam"].ours(layers).load_state_dict(stored.state_dict())


@pytest.mark.parametrize("preset", ["vae-gan", "dcgan", "cnn"])
def test_a_run_with_sgd_is_resumed_bit_for_bit(preset: str) -> None:
    overrides = SMALL[preset] | {"optimizer": "sgd", "momentum": 0.5, "learning_rate": 1e-3}
    config = small_config(preset, 5, overrides=overrides)
    expected, _events = finished_state(config)
    first = new_trainer(config)
    run = first.run()
    for _ in range(4):
        next(run)
    second = resumed(config, state_of(first))
    for _ in second.run():
        pass
    assert state_of(second) == expected != finished_state(small_config(preset, 5))[0]


def test_a_step_imports_no_compiler() -> None:
    program = """if True:
        import sys
        import torch
        from imagemodels.training.adam import Adam
        from imagemodels.training.sgd import Sgd

        weight = torch.nn.Parameter(torch.ones(2))
        weight.square().sum().backward()
        for optimizer in (Adam([weight], 0.1, betas=(0.5, 0.9)), Sgd([weight], 0.1, momentum=0.9)):
            optimizer.step()
        sys.exit("torch._dynamo" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

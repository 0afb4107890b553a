"""Our Adam against torch's: the same bits, without the compiler."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from imagemodels.training.adam import Adam

BETAS, WEIGHT_DECAY = (0.5, 0.99), 0.01
STEPS = 5


def network() -> nn.Sequential:
    """With a weight that never gets a gradient."""
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 2, 3), nn.Linear(4, 4))
    return layers.to(torch.device("cpu"), memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def ours(layers: nn.Module) -> Adam:
    return Adam(layers.parameters(), 1e-2, betas=BETAS, weight_decay=WEIGHT_DECAY)


def theirs(layers: nn.Module) -> AdamW:
    return AdamW(layers.parameters(), 1e-2, fused=True, betas=BETAS, weight_decay=WEIGHT_DECAY)


def grow_gradients(layers: nn.Sequential, step: int) -> None:
    random = torch.Generator().manual_seed(step)
    layers.zero_grad()
    layers[:3](torch.randn(4, 3, 8, 8, generator=random)).square().mean().backward()


def descend(layers: nn.Sequential, optimizer: Adam | AdamW, steps: range) -> list[torch.Tensor]:
    for step in steps:
        grow_gradients(layers, step)
        optimizer.step()
    return [weight.detach() for weight in layers.parameters()]


def test_it_moves_the_weights_as_torchs_does_to_the_bit() -> None:
    mine, other = network(), network()
    found = descend(mine, ours(mine), range(STEPS))
    expected = descend(other, theirs(other), range(STEPS))
    assert all(map(torch.equal, found, expected))
    assert not torch.equal(found[0], next(network().parameters()))


@pytest.mark.parametrize("begin", [ours, theirs])
def test_it_goes_on_from_what_it_or_torch_has_saved(begin: Callable[[nn.Module], Adam | AdamW]) -> None:
    straight, changed = network(), network()
    expected = descend(straight, theirs(straight), range(STEPS))
    first, second = begin(changed), ours(changed)
    descend(changed, first, range(3))
    second.load_state_dict(first.state_dict())
    assert all(map(torch.equal, descend(changed, second, range(3, STEPS)), expected))


def test_moments_of_other_weights_are_refused() -> None:
    optimizer, other = ours(network()), network()
    stored = theirs(other)
    descend(other, stored, range(1))
    optimizer.load_state_dict(stored.state_dict())
    for layers in (nn.Linear(2, 2), nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 3), nn.Linear(4, 4))):
        with pytest.raises(ValueError, match="other weights"):
            ours(layers).load_state_dict(optimizer.state_dict())


def test_a_step_imports_no_compiler() -> None:
    program = """if True:
        import sys
        import torch
        from imagemodels.training.adam import Adam

        weight = torch.nn.Parameter(torch.ones(2))
        optimizer = Adam([weight], 0.1, betas=(0.5, 0.9))
        weight.square().sum().backward()
        optimizer.step()
        sys.exit("torch._dynamo" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

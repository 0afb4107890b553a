import math

import numpy as np
import pytest
import torch

from imagemodels.networks.quantisation import FiniteScalarQuantiser

LEVELS = (2, 3, 4, 5, 8, 16)


def column(count: int = 2001, reach: float = 8.0) -> torch.Tensor:
    """The same numbers from -reach to reach in each channel: (count, 6, 1, 1)."""
    return torch.linspace(-reach, reach, count)[:, None].repeat(1, len(LEVELS))[:, :, None, None]


def test_each_channel_takes_all_its_levels_and_no_other() -> None:
    codes = FiniteScalarQuantiser(LEVELS).codes(column())
    for channel, level in enumerate(LEVELS):
        assert torch.unique(codes[:, channel]).tolist() == list(range(level))


def test_larger_inputs_have_larger_codes_and_zero_lies_in_the_middle() -> None:
    quantiser = FiniteScalarQuantiser(LEVELS)
    assert (quantiser.codes(column()).int().diff(dim=0) >= 0).all()
    assert quantiser.codes(torch.zeros(1, 6, 1, 1)).flatten().tolist() == [level // 2 for level in LEVELS]


def test_the_values_of_the_codes_are_those_that_training_sees() -> None:
    quantiser = FiniteScalarQuantiser(LEVELS)
    maps = torch.randn(50, len(LEVELS), 3, 3) * 2
    values = quantiser(maps)
    assert torch.equal(quantiser.values(quantiser.codes(maps)), values)
    assert values.abs().max() <= 1


@pytest.mark.parametrize(("level", "value"), [(5, 0.3), (4, 0.3), (8, -1.2), (5, -3.0)])
def test_bounding_is_the_equation(level: int, value: float) -> None:
    half, offset = (level - 1) * 1.001 / 2, 0.5 if level % 2 == 0 else 0.0
    expected = half * math.tanh(value + math.atanh(offset / half)) - offset
    found = FiniteScalarQuantiser([level]).bounded(torch.full((1, 1, 1, 1), value)).item()
    assert found == pytest.approx(expected, abs=1e-6)
    assert FiniteScalarQuantiser([level]).bounded(torch.zeros(1, 1, 1, 1)).item() == pytest.approx(0.0, abs=1e-6)


def test_the_gradient_is_that_of_bounding_as_if_nothing_were_rounded() -> None:
    quantiser = FiniteScalarQuantiser(LEVELS)
    maps = torch.randn(4, len(LEVELS), 2, 2, requires_grad=True)
    weights = torch.randn(4, len(LEVELS), 2, 2)
    (quantiser(maps) * weights).sum().backward()
    assert maps.grad is not None
    step = 1e-3
    above, below = quantiser.bounded(maps.detach() + step), quantiser.bounded(maps.detach() - step)
    scale = torch.tensor([level // 2 for level in LEVELS]).view(1, -1, 1, 1)
    torch.testing.assert_close(maps.grad, weights * (above - below) / (2 * step) / scale, rtol=1e-2, atol=2e-3)


def test_rounding_alone_would_stop_every_gradient() -> None:
    quantiser = FiniteScalarQuantiser(LEVELS)
    maps = torch.randn(4, len(LEVELS), 2, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(quantiser.bounded(maps).round().sum(), maps)
    assert not slope.any()


def test_codes_fit_a_byte() -> None:
    assert FiniteScalarQuantiser(LEVELS).codes(column()).numpy().dtype == np.uint8

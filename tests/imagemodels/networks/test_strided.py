"""The matrix product and oneDNN give the same gradients, and each is used where it should be."""

import pytest
import torch
from torch import Tensor, nn

from imagemodels.networks.strided import DoublingConvolution, HalvingConvolution, weight_gradient


def gradients(layer: nn.Module, maps: Tensor, dtype: torch.dtype | None) -> tuple[Tensor, Tensor, Tensor]:
    """Output, input gradient and weight gradient of the layer for the sum of its squares."""
    maps = maps.clone().requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        out = layer(maps)
    out.float().square().sum().backward()
    weight = next(layer.parameters())
    assert maps.grad is not None
    assert weight.grad is not None
    return out.detach().float(), maps.grad, weight.grad


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(HalvingConvolution(6, 10, bias=False), (3, 6, 8, 8)), (DoublingConvolution(6, 10, bias=False), (3, 6, 4, 4))],
    ids=["halving", "doubling"],
)
def test_bf16_gradients_follow_those_of_fp32(layer: nn.Module, shape: tuple[int, ...]) -> None:
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for precise, fast in zip(gradients(layer, maps, None), gradients(layer, maps, torch.bfloat16), strict=True):
        assert fast.dtype == torch.float32
        assert (precise - fast).abs().max() <= 0.03 * precise.abs().max()


@pytest.mark.parametrize("side", [2, 4, 6])
def test_the_matrix_product_is_the_weight_gradient(side: int) -> None:
    generator = torch.Generator().manual_seed(side)
    large = torch.randn(2, 3, 2 * side, 2 * side, generator=generator)
    small = torch.randn(2, 5, side, side, generator=generator)
    weight = torch.zeros(5, 3, 4, 4, requires_grad=True)
    torch.nn.functional.conv2d(large, weight, None, 2, 1).backward(small)  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    torch.testing.assert_close(weight_gradient(large, small), weight.grad, rtol=1e-4, atol=1e-4)


def test_a_second_derivative_goes_through() -> None:
    layer = HalvingConvolution(2, 3, bias=False)
    maps = torch.randn(2, 2, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(maps).float().square().sum()
    (first,) = torch.autograd.grad(out, maps, create_graph=True)
    first.square().sum().backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().max() > 0


def test_sampling_and_large_maps_are_left_to_the_library() -> None:
    layer = HalvingConvolution(2, 3, bias=False)
    with torch.autocast("cpu", torch.bfloat16):
        small, large = layer(torch.randn(1, 2, 8, 8)), layer(torch.randn(1, 2, 32, 32))
        with torch.no_grad():
            frozen = layer(torch.randn(1, 2, 8, 8))
    assert "Halving" in type(small.grad_fn).__name__
    assert "Convolution" in type(large.grad_fn).__name__
    assert frozen.grad_fn is None

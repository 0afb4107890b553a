"""4×4 convolutions of stride 2, and their transposes, with a faster weight gradient where maps are small.

oneDNN's weight gradient in bfloat16 takes longer than one matrix product as soon as the smaller map is down to 4×4
pixels. Everything else is left to it. `benchmarks/train_speed.py` measures what it gains.

Shapes: N images, L and S side of the larger and the smaller map (L = 2S), C and D their channels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST_SIDE = 4  # pixels of the smaller map; at 8 the matrix product only draws level


class HalvingConvolution(nn.Conv2d):
    """Map (N, C, L, L) to (N, D, S, S)."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  the name that torch gave it
        """Convolve; the result is the same either way, up to the order of sums in the weight gradient."""
        if self.bias is None and _pays(input, input.shape[-1] // 2):
            return _Halving.apply(input.bfloat16(), self.weight.bfloat16())  # type: ignore[no-untyped-call, no-any-return]
        return super().forward(input)


class DoublingConvolution(nn.ConvTranspose2d):
    """Map (N, D, S, S) to (N, C, L, L)."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002
        """Convolve; the result is the same either way, up to the order of sums in the weight gradient."""
        if self.bias is None and output_size is None and _pays(input, input.shape[-1]):
            return _Doubling.apply(input.bfloat16(), self.weight.bfloat16())  # type: ignore[no-untyped-call, no-any-return]
        return super().forward(input, output_size)


def _pays(maps: Tensor, smaller_side: int) -> bool:
    in_training = torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")
    return in_training and maps.device.type == "cpu" and smaller_side <= LARGEST_SIDE


class _Halving(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, large: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(large, weight)
        return functional.conv2d(large, weight, None, 2, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient,) = gradients
        large, weight = ctx.saved_tensors
        wants_input, wants_weight = ctx.needs_input_grad
        to_input = functional.conv_transpose2d(gradient, weight, None, 2, 1) if wants_input else None
        return to_input, weight_gradient(large, gradient) if wants_weight else None


class _Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, small: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(small, weight)
        return functional.conv_transpose2d(small, weight, None, 2, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient,) = gradients
        small, weight = ctx.saved_tensors
        wants_input, wants_weight = ctx.needs_input_grad
        to_input = functional.conv2d(gradient, weight, None, 2, 1) if wants_input else None
        return to_input, weight_gradient(gradient, small) if wants_weight else None


def weight_gradient(large: Tensor, small: Tensor) -> Tensor:
    """Return the gradient (D, C, 4, 4) of the weight between ``large`` (N, C, L, L) and ``small`` (N, D, S, S).

    One of the two is the input, the other the gradient of the output; a convolution and its transpose share the sum.
    """
    channels = large.shape[1]
    padded_NLLC = functional.pad(large.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    windows_NSSC44 = padded_NLLC.unfold(1, 4, 2).unfold(2, 4, 2)
    columns = windows_NSSC44.permute(0, 1, 2, 4, 5, 3).reshape(-1, 16 * channels)
    rows = small.permute(0, 2, 3, 1).reshape(-1, small.shape[1])
    return (rows.t() @ columns).view(-1, 4, 4, channels).permute(0, 3, 1, 2)

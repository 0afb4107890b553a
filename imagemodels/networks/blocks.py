"""The blocks from which encoders and decoders are stacked.

Shapes: N images, C channels, S side in pixels, K classes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from imagemodels.networks.specs import Initialisation, Norm, Upsample
from imagemodels.networks.strided import DoublingConvolution, HalvingConvolution

LEAK = 0.2  # slope below zero, as in DCGAN
DCGAN_DEVIATION = 0.02  # of the initial weights


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose gain and bias belong to the class (Dumoulin et al., arXiv 1610.07629).

    With no classes it is the ordinary batch normalisation.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=num_classes == 0)
        self.parts = 1
        self.gain = nn.Embedding(num_classes, channels) if num_classes else None
        self.bias = nn.Embedding(num_classes, channels) if num_classes else None
        if self.gain is not None and self.bias is not None:
            nn.init.ones_(self.gain.weight)
            nn.init.zeros_(self.bias.weight)

    def forward(self, maps: Tensor, labels: Tensor | None) -> Tensor:
        """Normalise ``maps`` (N, C, S, S) with the parameters of ``labels`` (N,)."""
        normal = self._normalised(maps)
        if self.gain is None or self.bias is None:
            return normal
        gain_NC11 = self.gain(labels)[:, :, None, None].to(normal.dtype)
        bias_NC11 = self.bias(labels)[:, :, None, None].to(normal.dtype)
        return torch.addcmul(bias_NC11, normal, gain_NC11)

    def _normalised(self, maps: Tensor) -> Tensor:
        if self.parts > 1:
            return torch.cat([self.norm(part) for part in maps.chunk(self.parts)])
        normal: Tensor = self.norm(maps)
        return normal


@contextmanager
def separate_statistics(network: nn.Module, parts: int) -> Iterator[None]:
    """Let every batch norm of ``network`` take its batch for ``parts`` batches, one after the other, in the context.

    The convolutions still see one batch, which costs them less than several.
    """
    norms = [module for module in network.modules() if isinstance(module, ConditionalBatchNorm)]
    for norm in norms:
        norm.parts = parts
    try:
        yield
    finally:
        for norm in norms:
            norm.parts = 1


class NoNorm(nn.Module):
    """The normalisation that changes nothing."""

    def forward(self, maps: Tensor, _labels: Tensor | None) -> Tensor:
        """Return ``maps`` as they are."""
        return maps


def normalisation(norm: Norm, channels: int, num_classes: int = 0) -> nn.Module:
    """Return the normalisation layer of that name; every one is called with (maps, labels)."""
    return ConditionalBatchNorm(channels, num_classes) if norm == "batch" else NoNorm()


class PlainUp(nn.Module):
    """Double the side: transposed convolution, or nearest neighbour and convolution; then norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, upsample: Upsample, norm: Norm, num_classes: int) -> None:
        super().__init__()
        self.conv = doubling_convolution(inputs, outputs, upsample, bias=norm == "none")
        self.norm = normalisation(norm, outputs, num_classes)

    def forward(self, maps: Tensor, labels: Tensor | None) -> Tensor:
        """Map (N, inputs, S, S) to (N, outputs, 2S, 2S)."""
        normal: Tensor = self.norm(self.conv(maps), labels)
        return functional.relu(normal, inplace=True)


class ResidualUp(nn.Module):
    """The up-sampling residual block of SNGAN (Miyato et al., arXiv 1802.05957, appendix B)."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, num_classes: int) -> None:
        super().__init__()
        self.first_norm = normalisation(norm, inputs, num_classes)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second_norm = normalisation(norm, outputs, num_classes)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, maps: Tensor, labels: Tensor | None) -> Tensor:
        """Map (N, inputs, S, S) to (N, outputs, 2S, 2S)."""
        hidden = functional.relu(self.first_norm(maps, labels))
        hidden = self.first(doubled(hidden))
        hidden = functional.relu(self.second_norm(hidden, labels))
        # A 1×1 convolution and a nearest-neighbour doubling commute; this order is four times cheaper.
        residue: Tensor = self.second(hidden)
        return residue + doubled(self.shortcut(maps))


class PlainDown(nn.Module):
    """Halve the side by a 4×4 convolution of stride 2; then norm and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, norm: Norm) -> None:
        super().__init__()
        self.conv = HalvingConvolution(inputs, outputs, bias=norm == "none")
        self.norm = normalisation(norm, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, inputs, 2S, 2S) to (N, outputs, S, S)."""
        normal: Tensor = self.norm(self.conv(maps), None)
        return functional.leaky_relu(normal, LEAK, inplace=True)


class ResidualDown(nn.Module):
    """The down-sampling residual block of SNGAN; ``first`` leaves out the activation before the first layer."""

    def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        self.is_first = first
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, inputs, 2S, 2S) to (N, outputs, S, S)."""
        hidden = self.first(maps if self.is_first else functional.relu(maps))
        hidden = self.second(functional.relu(hidden))
        shortcut: Tensor = self.shortcut(functional.avg_pool2d(maps, 2))
        return functional.avg_pool2d(hidden, 2) + shortcut


def doubling_convolution(inputs: int, outputs: int, upsample: Upsample, *, bias: bool) -> nn.Module:
    """Return the layer that maps (N, inputs, S, S) to (N, outputs, 2S, 2S)."""
    if upsample == "transposed":
        return DoublingConvolution(inputs, outputs, bias=bias)
    return nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias))


def doubled(maps: Tensor) -> Tensor:
    """Return ``maps`` at twice the side by nearest neighbour: bilinear is not deterministic on CUDA."""
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")


def weighted_layers(network: nn.Module) -> Iterator[nn.Conv2d | nn.ConvTranspose2d | nn.Linear]:
    """Yield the convolutions and linear layers of ``network``."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            yield module


def initialise(network: nn.Module, how: Initialisation) -> None:
    """Draw the weights: ``normal`` as DCGAN does, ``orthogonal`` as BigGAN does, ``default`` as torch does."""
    if how == "default":
        return
    for layer in weighted_layers(network):
        if how == "normal":
            nn.init.normal_(layer.weight, 0.0, DCGAN_DEVIATION)
        else:
            nn.init.orthogonal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

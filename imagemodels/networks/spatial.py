"""Convolutions from images to a small map and back, with nothing between the two that would lose where things are.

There is no normalisation in them: what an image is decoded to hangs on its own contrast.

Shapes: N images, C channels, S side in pixels, B side of the map, D channels of the map.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from imagemodels.networks.blocks import LEAK, doubled
from imagemodels.networks.sizes import SizePlan
from imagemodels.networks.strided import HalvingConvolution


def grid_plan(image_size: int, halvings: int) -> SizePlan:
    """Return how a grid of codes covers the image.

    >>> grid_plan(30, 2)
    SizePlan(image_size=30, base_side=8, stages=2)
    """
    return SizePlan(image_size, -(-image_size // 2**halvings), halvings)


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to what they saw (He et al., arXiv 1603.05027)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, channels, S, S) to the same shape."""
        hidden = self.first(functional.leaky_relu(maps, LEAK))
        residue: Tensor = self.second(functional.leaky_relu(hidden, LEAK))
        return maps + residue


class SpatialEncoder(nn.Module):
    """Map images (N, C, S, S) to maps (N, D, B, B); an image that no grid fits is continued over its border."""

    def __init__(
        self, plan: SizePlan, channels: int, width: int, blocks: int, outputs: int, *, bias: bool = True
    ) -> None:
        super().__init__()
        self.plan = plan
        widths = (channels, *plan.widths(width))
        self.halvings = nn.ModuleList(HalvingConvolution(a, b, bias=True) for a, b in pairwise(widths))
        self.blocks = nn.Sequential(*(ResidualBlock(widths[-1]) for _ in range(blocks)))
        self.head = nn.Conv2d(widths[-1], outputs, 1, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return maps (N, D, B, B)."""
        before, after = self.plan.margins
        maps = functional.pad(images, (before, after, before, after), mode="replicate") if after else images
        for number, halve in enumerate(self.halvings):
            maps = halve(maps if number == 0 else functional.leaky_relu(maps, LEAK))
        coded: Tensor = self.head(functional.leaky_relu(self.blocks(maps), LEAK))
        return coded


class SpatialDecoder(nn.Module):
    """Map maps (N, D, B, B) to images (N, C, S, S) in [-1, 1], float32."""

    def __init__(self, plan: SizePlan, channels: int, width: int, blocks: int, inputs: int) -> None:
        super().__init__()
        self.plan = plan
        widths = plan.widths(width)[::-1]
        self.head = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(widths[0]) for _ in range(blocks)))
        pairs = pairwise((*widths, widths[-1]))
        self.doublings = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.to_pixels = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        """Return images (N, C, S, S)."""
        maps = self.blocks(self.head(values))
        for double in self.doublings:
            maps = double(doubled(functional.leaky_relu(maps, LEAK)))
        padded = torch.tanh(self.to_pixels(functional.leaky_relu(maps, LEAK)).float())
        start, stop = self.plan.margins[0], self.plan.margins[0] + self.plan.image_size
        return padded[:, :, start:stop, start:stop]

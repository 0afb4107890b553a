"""A U-Net for images of any size (Ronneberger et al., arXiv 1505.04597): from damaged images to whole ones.

Nearest-neighbour doublings and no transposed convolution, as all that is deterministic on CUDA; no normalisation, so
that what is made of an image hangs on its own contrast, and a tile is restored like a part of the whole.

Shapes: N images, C channels, S side in pixels.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from imagemodels.networks.blocks import LEAK, doubled
from imagemodels.networks.restoration_specs import RestorerSpec
from imagemodels.networks.sizes import SizePlan
from imagemodels.networks.spatial import ResidualBlock, grid_plan
from imagemodels.networks.strided import HalvingConvolution

WIDEST = 8  # times the width of the maps at full size


class UNet(nn.Module):
    """Map damaged images (N, C, S, S) in [-1, 1], and where they have holes (N, 1, S, S), to whole ones.

    What is no hole is left as it is. Without skips it is a plain encoder and decoder.
    """

    def __init__(self, spec: RestorerSpec) -> None:
        super().__init__()
        self.spec = spec
        self.plan: SizePlan = grid_plan(spec.image_size, spec.halvings)
        widths = [spec.width * min(2**level, WIDEST) for level in range(spec.halvings + 1)]
        self.entry = nn.Conv2d(spec.channels + int(spec.degradation.has_holes), widths[0], 3, padding=1)
        self.downs = nn.ModuleList(HalvingConvolution(a, b, bias=True) for a, b in pairwise(widths))
        self.middle = nn.Sequential(*(ResidualBlock(widths[-1]) for _ in range(spec.blocks)))
        levels = list(pairwise(widths))[::-1]
        self.ups = nn.ModuleList(nn.Conv2d(b + (a if spec.skips else 0), a, 3, padding=1) for a, b in levels)
        self.to_pixels = nn.Conv2d(widths[0], spec.channels, 3, padding=1)

    def forward(self, images: Tensor, holes: Tensor | None = None) -> Tensor:
        """Return restored images (N, C, S, S), float32, about in [-1, 1]; ``holes`` are true where pixels are missing.

        Holes are needed where the network was trained to fill them, and must not be given elsewhere.
        """
        seen = images if holes is None else torch.cat((images, holes.to(images.dtype)), dim=1)
        made = self._cut(self.to_pixels(self._maps(self._padded(seen)))).float()
        restored = images + made if self.spec.residual else torch.tanh(made)
        return restored if holes is None else torch.where(holes, restored, images)

    def _maps(self, seen: Tensor) -> Tensor:
        maps = self.entry(seen)
        passed = []
        for down in self.downs:
            passed.append(maps)
            maps = down(functional.leaky_relu(maps, LEAK))
        maps = self.middle(maps)
        for up, skipped in zip(self.ups, reversed(passed), strict=True):
            maps = doubled(maps)
            maps = up(functional.leaky_relu(torch.cat((maps, skipped), dim=1) if self.spec.skips else maps, LEAK))
        return functional.leaky_relu(maps, LEAK)

    def _padded(self, seen: Tensor) -> Tensor:
        """The images continued over their border, to a side that can be halved so often."""
        before, after = self.plan.margins
        return functional.pad(seen, (before, after, before, after), mode="replicate") if after else seen

    def _cut(self, maps: Tensor) -> Tensor:
        start, stop = self.plan.margins[0], self.plan.margins[0] + self.plan.image_size
        return maps[:, :, start:stop, start:stop]

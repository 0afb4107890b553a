"""A discriminator of patches (Isola et al., arXiv 1611.07004, section 3.2.2), conditional on the image that is given.

Shapes: N images, C channels, S side in pixels, P side of the map of logits.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from imagemodels.networks.blocks import LEAK
from imagemodels.networks.restoration_specs import PatchJudgeSpec
from imagemodels.networks.spectral import apply_spectral_norm
from imagemodels.networks.strided import HalvingConvolution

WIDEST = 8  # times the width after the first halving


class PatchJudge(nn.Module):
    """Map given images (N, C, S, S) and images made of them, or true ones, to logits (N, 1, P, P)."""

    def __init__(self, spec: PatchJudgeSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = [2 * spec.channels, *(spec.width * min(2**level, WIDEST) for level in range(spec.halvings))]
        self.downs = nn.ModuleList(HalvingConvolution(a, b, bias=True) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1)
        if spec.spectral:
            apply_spectral_norm(self)

    def forward(self, given: Tensor, images: Tensor) -> Tensor:
        """Return a logit for each patch: large where ``images`` look true, as answers to ``given``."""
        maps = torch.cat((given, images), dim=1)
        for down in (*self.downs, self.last):
            maps = functional.leaky_relu(down(maps), LEAK)
        logits: Tensor = self.head(maps)
        return logits

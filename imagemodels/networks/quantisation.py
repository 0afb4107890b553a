"""Finite scalar quantisation (Mentzer et al., arXiv 2309.15505): channels are bounded and rounded; no codebook.

Shapes: N images, D channels, B side of the map.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

MARGIN = 1e-3  # by which the bound exceeds the outermost levels, so that these can be reached (their appendix A)


class FiniteScalarQuantiser(nn.Module):
    """Rounds channel d of a map to one of ``levels[d]`` values between -1 and 1, and lets gradients through.

    Without a codebook there is nothing that could collapse, and no loss beside that of the image.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.levels = tuple(levels)

    def forward(self, maps: Tensor) -> Tensor:
        """Return values (N, D, B, B) in [-1, 1], float32, for maps (N, D, B, B); rounding has the gradient of one."""
        bounded = self.bounded(maps)
        rounded = bounded + (bounded.round() - bounded).detach()
        return rounded / self._constants(maps, [count // 2 for count in self.levels])

    def codes(self, maps: Tensor) -> Tensor:
        """Return the codes (N, D, B, B), uint8 from 0 to ``levels[d]`` - 1, for maps (N, D, B, B)."""
        return (self.bounded(maps).round() + self._constants(maps, [count // 2 for count in self.levels])).byte()

    def values(self, codes: Tensor) -> Tensor:
        """Return the values (N, D, B, B), float32, that codes (N, D, B, B) stand for: those of ``forward``."""
        middle = self._constants(codes, [count // 2 for count in self.levels])
        return (codes.float() - middle) / middle

    def bounded(self, maps: Tensor) -> Tensor:
        """Return maps (N, D, B, B), float32, squeezed between the outermost levels; 0 stays 0.

        An even number of levels lies unevenly about 0, from -L/2 to L/2 - 1, and so does the bound.
        """
        half = [(count - 1) * (1 + MARGIN) / 2 for count in self.levels]
        offset = [0.5 * (count % 2 == 0) for count in self.levels]
        shift = [math.atanh(o / h) for o, h in zip(offset, half, strict=True)]
        squeezed = torch.tanh(maps.float() + self._constants(maps, shift))
        return squeezed * self._constants(maps, half) - self._constants(maps, offset)

    def _constants(self, like: Tensor, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=like.device).view(1, -1, 1, 1)

"""The exponential moving average of weights, which smooths the oscillation of adversarial training."""

from copy import deepcopy

import torch
from torch import Tensor, nn

RAMP = 0.05  # the half-life is at most this share of the images seen so far (Karras et al., arXiv 2206.00364)


class AveragedWeights:
    """A copy of a network whose weights trail the original with a half-life counted in images.

    Counting images rather than steps makes the average independent of the batch size
    (Yazici et al., arXiv 1806.04498, show what averaging gains).
    """

    def __init__(self, original: nn.Module, half_life_images: int) -> None:
        self.network = deepcopy(original).eval().requires_grad_(False)
        self.half_life_images = half_life_images
        self._original = original
        self._means, self._sources = self._floats()
        self._pairs = list(zip(self.network.buffers(), original.buffers(), strict=True))

    @torch.no_grad()
    def update(self, images_seen: int, batch_size: int) -> None:
        """Move towards the original, ``batch_size`` images after the last update."""
        torch._foreach_lerp_(self._means, self._sources, 1.0 - self._decay(images_seen, batch_size))
        for mean, source in self._pairs:
            if not mean.is_floating_point():
                mean.copy_(source)

    def _decay(self, images_seen: int, batch_size: int) -> float:
        half_life = min(float(self.half_life_images), RAMP * images_seen)
        return 0.5 ** (batch_size / half_life) if half_life > 0 else 0.0

    def _floats(self) -> tuple[list[Tensor], list[Tensor]]:
        """Weights and floating-point buffers: batch statistics are averaged with the weights that made them."""
        means = [*self.network.parameters(), *self.network.buffers()]
        sources = [*self._original.parameters(), *self._original.buffers()]
        pairs = [(mean, source) for mean, source in zip(means, sources, strict=True) if mean.is_floating_point()]
        return [mean for mean, _ in pairs], [source.detach() for _, source in pairs]

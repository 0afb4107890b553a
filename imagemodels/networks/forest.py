"""What an adversarial random forest has learnt, as a function from latents to images: plain arrays, no tree.

Shapes: N images, C channels, S side in pixels, D = C·S·S, Z latent size, P = Z - 1 components, L leaves, G groups,
K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestSpec:
    """The sizes of a forest's arrays."""

    image_size: int  # pixels
    channels: int
    latent_size: int  # one number for the leaf, and one for each component
    groups: int  # each with components of its own
    leaves: int
    num_classes: int = 0  # 0: unconditional


class ForestDecoder(nn.Module):
    """Map standard normal latents (N, Z), and labels (N,) when there are classes, to images (N, C, S, S) in [-1, 1].

    The first latent chooses a leaf of the class, by its share of the training images; each other one becomes a
    component's score by the quantiles of the leaf's truncated normal (FORGE, Watson et al., arXiv 2205.09435).
    Leaves lie one class after the other, ``class_leaves`` of each (max(K, 1),). A leaf has ``counts`` training images,
    is of a group, and has a ``mean``, a ``deviation`` and a box for each component (L, P). A group has a mean image, in
    ``images`` (G, D), and components, in ``axes`` (G, P, D).
    """

    class_leaves: Tensor
    counts: Tensor
    leaf_groups: Tensor
    mean: Tensor
    deviation: Tensor
    lower: Tensor
    upper: Tensor
    images: Tensor
    axes: Tensor
    prior = None  # latents are standard normal
    encoder = None
    choosing_latents = 1

    def __init__(self, spec: ForestSpec) -> None:
        super().__init__()
        self.spec = spec
        components, values = spec.latent_size - 1, spec.channels * spec.image_size**2
        self.register_buffer("class_leaves", torch.zeros(max(1, spec.num_classes), dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(spec.leaves, dtype=torch.int32))
        self.register_buffer("leaf_groups", torch.zeros(spec.leaves, dtype=torch.int32))
        for name in ("mean", "deviation", "lower", "upper"):
            self.register_buffer(name, torch.zeros(spec.leaves, components))
        self.register_buffer("images", torch.zeros(spec.groups, values))
        self.register_buffer("axes", torch.zeros(spec.groups, components, values))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (N, C, S, S) in [-1, 1], float32, for latents (N, Z)."""
        uniforms_NZ = torch.special.ndtr(latents.double())
        leaves_N = self._leaves(uniforms_NZ[:, 0], labels)
        scores_NP = self._scores(leaves_N, uniforms_NZ[:, 1:]).float()
        groups_N = self.leaf_groups[leaves_N].long()
        pixels_ND = self.images[groups_N]
        # One component after the other, not as a product of matrices: no image depends on those made beside it.
        for component in range(scores_NP.shape[1]):
            pixels_ND = pixels_ND + scores_NP[:, component, None] * self.axes[groups_N, component]
        return pixels_ND.clamp(-1.0, 1.0).view(-1, self.spec.channels, self.spec.image_size, self.spec.image_size)

    def _leaves(self, uniforms_N: Tensor, labels: Tensor | None) -> Tensor:
        """Choose among the leaves of each image's class: by whole numbers, which have no rounding."""
        ends_L = self.counts.long().cumsum(0)
        class_ends = ends_L[self.class_leaves.cumsum(0) - 1]
        class_starts = torch.cat((class_ends.new_zeros(1), class_ends[:-1]))
        classes_N = labels if labels is not None else torch.zeros_like(uniforms_N, dtype=torch.int64)
        starts_N, ends_N = class_starts[classes_N], class_ends[classes_N]
        chosen_N = starts_N + (uniforms_N * (ends_N - starts_N)).long()
        return torch.searchsorted(ends_L, torch.minimum(chosen_N, ends_N - 1), right=True)

    def _scores(self, leaves_N: Tensor, uniforms_NP: Tensor) -> Tensor:
        mean, deviation, lower, upper = (
            array[leaves_N].double() for array in (self.mean, self.deviation, self.lower, self.upper)
        )
        below = torch.special.ndtr((lower - mean) / deviation)
        inside = torch.special.ndtr((upper - mean) / deviation) - below
        return torch.clamp(mean + deviation * torch.special.ndtri(below + uniforms_NP * inside), lower, upper)

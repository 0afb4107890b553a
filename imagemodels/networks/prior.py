"""Where a decoder's latents come from: the standard normal distribution, or Gaussians fitted to the encoded data.

Shapes: G groups (classes, or one), P parts of a group, Z latent size.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from imagemodels.networks.features import FeatureEncoder
from imagemodels.networks.specs import DecoderSpec


class GaussianPrior(nn.Module):
    """A mixture of P Gaussians for each of G groups of images; the standard normal one until it is filled."""

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, groups: int, parts: int, latent_size: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((groups, parts), 1.0 / parts))
        self.register_buffer("means", torch.zeros(groups, parts, latent_size))
        # Lower triangular: a factor times standard normal noise has the covariance of its part.
        self.register_buffer("factors", torch.eye(latent_size).repeat(groups, parts, 1, 1))


class LatentDecoder(nn.Module):
    """What both decoders share: the prior of their latents, and the encoder that finds those of an image."""

    spec: DecoderSpec
    choosing_latents = 0  # the first so many choose among things and have no middle, as those of a forest do

    def __init__(self) -> None:
        super().__init__()
        self.prior: GaussianPrior | None = None
        self.encoder: FeatureEncoder | None = None

    def use_prior(self, parts: int) -> GaussianPrior | None:
        """Draw from ``parts`` Gaussians for each class from now on, 0: from the standard normal; gives them to fill."""
        self.spec = replace(self.spec, prior_parts=parts)
        self.prior = GaussianPrior(max(1, self.spec.num_classes), parts, self.spec.latent_size) if parts else None
        return self.prior

    def use_encoder(self, encoder: FeatureEncoder | None) -> None:
        """Find the latents of images with ``encoder`` from now on: it gives their means and log variances (N, 2Z)."""
        self.spec = replace(self.spec, encoder=encoder.spec if encoder is not None else None)
        self.encoder = encoder

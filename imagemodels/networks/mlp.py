"""Fully connected networks, as in the first papers on GANs and VAEs: no notion of neighbouring pixels.

They have no batch norm: of a single image, which may be all that fits into the memory, it has no statistics here.

Shapes: N images, C channels, S side in pixels, Z latent size, W width, O outputs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from imagemodels.networks.blocks import LEAK, initialise
from imagemodels.networks.features import FeatureEncoder
from imagemodels.networks.prior import LatentDecoder
from imagemodels.networks.specs import MlpDecoderSpec, MlpEncoderSpec


class MlpDecoder(LatentDecoder):
    """Map latents (N, Z), and labels (N,) when there are classes, to images (N, C, S, S) in [-1, 1]."""

    spec: MlpDecoderSpec

    def __init__(self, spec: MlpDecoderSpec) -> None:
        super().__init__()
        self.spec = spec
        class_size = spec.class_size if spec.num_classes else 0
        self.embedding = nn.Embedding(spec.num_classes, class_size) if class_size else None
        inputs = [spec.latent_size + class_size, *[spec.width] * (spec.depth - 1)]
        self.hidden = nn.ModuleList(nn.Linear(size, spec.width) for size in inputs)
        self.to_pixels = nn.Linear(spec.width, spec.channels * spec.image_size**2)
        initialise(self, spec.initialisation)
        self.use_prior(spec.prior_parts)
        self.use_encoder(MlpEncoder(spec.encoder) if spec.encoder is not None else None)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (N, C, S, S) in [-1, 1], float32, for latents (N, Z)."""
        if self.embedding is not None:
            latents = torch.cat((latents, self.embedding(labels)), dim=1)
        hidden_NW = latents.to(self.to_pixels.weight.dtype)
        for layer in self.hidden:
            hidden_NW = functional.leaky_relu(layer(hidden_NW), LEAK)
        side = self.spec.image_size
        return torch.tanh(self.to_pixels(hidden_NW).float()).view(-1, self.spec.channels, side, side)


class MlpEncoder(FeatureEncoder):
    """Map images (N, C, S, S) in [-1, 1] to outputs (N, O)."""

    spec: MlpEncoderSpec

    def __init__(self, spec: MlpEncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        inputs = [spec.channels * spec.image_size**2, *[spec.width] * (spec.depth - 1)]
        self.hidden = nn.ModuleList(nn.Linear(size, spec.width) for size in inputs)
        self._complete(spec.width)

    def features(self, images: Tensor) -> Tensor:
        """Return the activations (N, W) of the last hidden layer."""
        hidden_NW = images.flatten(1)
        for layer in self.hidden:
            hidden_NW = functional.leaky_relu(layer(hidden_NW), LEAK)
        return hidden_NW

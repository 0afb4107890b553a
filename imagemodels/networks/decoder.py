"""One convolutional decoder: the generator of a GAN and the decoder of a VAE.

Shapes: N images, C channels, S side in pixels, B base side, Z latent size, W channels of the base map.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from imagemodels.networks.blocks import PlainUp, ResidualUp, doubling_convolution, initialise, normalisation
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.prior import LatentDecoder
from imagemodels.networks.sizes import SizePlan
from imagemodels.networks.specs import ConvDecoderSpec


class ConvDecoder(LatentDecoder):
    """Map latents (N, Z), and labels (N,) when there are classes, to images (N, C, S, S) in [-1, 1].

    The first layer is a linear one: on a 1×1 map it is the 4×4 transposed convolution of DCGAN, only faster.
    """

    spec: ConvDecoderSpec

    def __init__(self, spec: ConvDecoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.plan = SizePlan.of(spec.image_size)
        widths = self.plan.widths(spec.width)[::-1]  # from the base to full size
        self.base_width = widths[0]
        # The class enters in front of the first layer as well as in the norms: norms alone learn it too slowly.
        class_size = spec.class_size if spec.num_classes else 0
        self.embedding = nn.Embedding(spec.num_classes, class_size) if class_size else None
        base_size = self.base_width * self.plan.base_side**2
        # The plain network normalises right away, which makes a bias useless.
        bias = spec.residual or spec.norm == "none"
        self.project = nn.Linear(spec.latent_size + class_size, base_size, bias=bias)
        chain = (self.base_width, *widths) if spec.residual else widths
        self.stages = nn.ModuleList(_up_stages(chain, spec))
        norm_width = widths[-1] if spec.residual else self.base_width
        self.norm = normalisation(spec.norm, norm_width, spec.num_classes)
        self.to_pixels = _pixel_layer(widths[-1], spec)
        initialise(self, spec.initialisation)
        self.use_prior(spec.prior_parts)
        self.use_encoder(ConvEncoder(spec.encoder) if spec.encoder is not None else None)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (N, C, S, S) in [-1, 1], float32, for latents (N, Z)."""
        maps = self._base(latents, labels)
        if not self.spec.residual:
            maps = functional.relu(self.norm(maps, labels), inplace=True)
        for stage in self.stages:
            maps = stage(maps, labels)
        if self.spec.residual:
            maps = functional.relu(self.norm(maps, labels))
        # tanh in fp32: bfloat16 has 256 levels in all between 0.5 and 1, coarser than the pixels.
        return torch.tanh(self._crop(self.to_pixels(maps)).float())

    def _base(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        if self.embedding is not None:
            latents = torch.cat((latents, self.embedding(labels)), dim=1)
        flat: Tensor = self.project(latents.to(self.project.weight.dtype))
        side = self.plan.base_side
        # Channels innermost, so that the map is in channels_last memory without a copy.
        return flat.view(-1, side, side, self.base_width).permute(0, 3, 1, 2)

    def _crop(self, images: Tensor) -> Tensor:
        if self.plan.padded_side == self.plan.image_size:
            return images
        start, stop = self.plan.margins[0], self.plan.margins[0] + self.plan.image_size
        return images[:, :, start:stop, start:stop]


def _up_stages(chain: tuple[int, ...], spec: ConvDecoderSpec) -> list[nn.Module]:
    pairs = pairwise(chain)
    if spec.residual:
        return [ResidualUp(inputs, outputs, spec.norm, spec.num_classes) for inputs, outputs in pairs]
    return [PlainUp(inputs, outputs, spec.upsample, spec.norm, spec.num_classes) for inputs, outputs in pairs]


def _pixel_layer(width: int, spec: ConvDecoderSpec) -> nn.Module:
    if spec.residual:
        return nn.Conv2d(width, spec.channels, 3, padding=1)
    # DCGAN's last layer has neither norm nor bias.
    return doubling_convolution(width, spec.channels, spec.upsample, bias=spec.upsample == "nearest")

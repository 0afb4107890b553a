"""One convolutional encoder for five uses: discriminator, VAE encoder, classifier, feature net, perceptual net.

Shapes: N images, C channels, S side in pixels, B base side, F features, O outputs.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from imagemodels.networks.blocks import LEAK, PlainDown, ResidualDown
from imagemodels.networks.features import FeatureEncoder
from imagemodels.networks.sizes import SizePlan
from imagemodels.networks.specs import ConvEncoderSpec


class ConvEncoder(FeatureEncoder):
    """Map images (N, C, S, S) in [-1, 1] to outputs (N, O).

    ``feature_size`` puts one more linear layer in front of the outputs; its F activations are the features.
    """

    spec: ConvEncoderSpec

    def __init__(self, spec: ConvEncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.plan = SizePlan.of(spec.image_size)
        widths = self.plan.widths(spec.width)
        self.stages = nn.Sequential(*_down_stages((spec.channels, *widths), spec))
        pooled_size = widths[-1] * (self.plan.base_side**2 if spec.pooling == "flatten" else 1)
        self.hidden = nn.Linear(pooled_size, spec.feature_size) if spec.feature_size else None
        self._complete(spec.feature_size or pooled_size)

    def features(self, images: Tensor) -> Tensor:
        """Return the activations (N, F) in front of the output layer."""
        features_NF = self._pool(self.stages(self._pad(images)))
        if self.hidden is None:
            return features_NF
        return functional.leaky_relu(self.hidden(features_NF), LEAK)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the activations (N, C, S, S) of each stage, the largest ones first."""
        found = [self._pad(images)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found[1:]

    def _pad(self, images: Tensor) -> Tensor:
        if self.plan.padded_side == self.plan.image_size:
            return images
        before, after = self.plan.margins
        return functional.pad(images, (before, after, before, after))

    def _pool(self, maps_NCBB: Tensor) -> Tensor:
        if self.spec.pooling == "sum":
            return functional.relu(maps_NCBB).sum((2, 3))
        # In channels_last memory this flattening is a view; C-major flattening would copy.
        return maps_NCBB.permute(0, 2, 3, 1).flatten(1)


def _down_stages(widths: tuple[int, ...], spec: ConvEncoderSpec) -> list[nn.Module]:
    pairs = list(pairwise(widths))
    if spec.residual:
        return [ResidualDown(inputs, outputs, first=i == 0) for i, (inputs, outputs) in enumerate(pairs)]
    # DCGAN: no normalisation on the layer that sees the pixels.
    return [PlainDown(inputs, outputs, "none" if i == 0 else spec.norm) for i, (inputs, outputs) in enumerate(pairs)]

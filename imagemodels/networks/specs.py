"""What a network is made of, as frozen data: enough to build it again. Free of torch.

A spec is written into every exported model and round-trips through JSON.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Norm = Literal["batch", "none"]
Upsample = Literal["nearest", "transposed"]
Pooling = Literal["flatten", "sum"]
Initialisation = Literal["normal", "orthogonal", "default"]
Backbone = Literal["conv", "mlp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """A network from an image in [-1, 1] (and a class) to a vector."""

    image_size: int  # pixels
    channels: int
    outputs: int
    width: int  # channels after the first halving, doubled with each further one; of an MLP, of each hidden layer
    num_classes: int = 0  # 0: the class is not an input
    spectral: bool = False  # spectral normalisation of every weight
    initialisation: Initialisation = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvEncoderSpec(EncoderSpec):
    """A convolutional encoder."""

    norm: Norm = "batch"
    residual: bool = False
    pooling: Pooling = "flatten"
    feature_size: int | None = None  # None: the pooled maps themselves are the features


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpEncoderSpec(EncoderSpec):
    """A fully connected encoder; its last hidden layer's activations are the features."""

    depth: int  # hidden layers


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSpec:
    """A network from a latent vector (and a class) to an image in [-1, 1]."""

    image_size: int  # pixels
    channels: int
    latent_size: int
    width: int  # channels of the map at full size, doubled with each halving; of an MLP, of each hidden layer
    num_classes: int = 0  # 0: unconditional
    class_size: int = 16  # numbers that stand for the class beside the latent vector
    initialisation: Initialisation = "default"
    prior_parts: int = 0  # Gaussians for each class from which latents are drawn; 0: the standard normal
    encoder: EncoderSpec | None = None  # what finds the latents of images; None: nothing does


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvDecoderSpec(DecoderSpec):
    """A convolutional decoder."""

    norm: Norm = "batch"  # class-conditional when there are classes
    upsample: Upsample = "nearest"
    residual: bool = False
    encoder: ConvEncoderSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpDecoderSpec(DecoderSpec):
    """A fully connected decoder."""

    depth: int  # hidden layers
    encoder: MlpEncoderSpec | None = None


def spec_values(spec: Any) -> dict[str, Any]:
    """Return a spec as what stands in a model's card, and goes into its identity.

    What a network does not have is left out: the identity of those without an encoder is older than encoders.
    """
    values = asdict(spec)
    return {name: value for name, value in values.items() if (name, value) != ("encoder", None)}

"""The options of models that make images."""

from dataclasses import dataclass, field
from typing import get_args

from imagemodels.errors import ConfigError
from imagemodels.networks.specs import Backbone, Initialisation, Norm, Upsample
from imagemodels.optionchecks import among, within
from imagemodels.options.base import RECONSTRUCTION_NAMES, Checked, ImageOptions, Shape, times

ADVERSARIAL_NAMES = ("ns", "ls", "hinge", "wgan", "rp")
PENALTY_NAMES = ("none", "r1", "r1r2", "gp")
ON_COLLAPSE = ("ignore", "stop", "rollback")
LARGEST_PRIOR = 64_000_000  # covariances of all Gaussians: half a gigabyte while they are fitted, in float64
FLOAT_BYTES = 4
LARGEST_FOREST_BYTES = 2**30  # of the components of all groups


@dataclass(frozen=True, kw_only=True)
class DecoderOptions(ImageOptions):
    """What every model that makes images has."""

    backbone: Backbone = field(default="conv", metadata=among(get_args(Backbone)))
    depth: int = field(default=2, metadata=within(1, 32))  # hidden layers of an MLP
    latent_size: int = field(default=64, metadata=within(1, 4096))
    class_size: int = field(default=16, metadata=within(1, 4096))  # numbers that stand for the class in the input
    upsample: Upsample = field(default="nearest", metadata=among(get_args(Upsample)))
    norm: Norm = field(default="batch", metadata=among(get_args(Norm)))  # of the decoder
    residual: bool = False
    initialisation: Initialisation = field(default="default", metadata=among(get_args(Initialisation)))


@dataclass(frozen=True, kw_only=True)
class JudgedOptions(DecoderOptions):
    """What every model has whose images a discriminator judges."""

    adversarial: str = field(default="hinge", metadata=among(ADVERSARIAL_NAMES))
    discriminator_learning_rate: float = field(default=4e-4, metadata=within(1e-7, 1.0))
    discriminator_width: int = field(default=32, metadata=within(1, 4096))
    discriminator_norm: Norm = field(default="none", metadata=among(get_args(Norm)))
    spectral_norm: bool = True  # of every weight of the discriminator
    # When so many measurements in a row are worse than twice the best: end there, or go on from the best state.
    on_collapse: str = field(default="ignore", metadata=among(ON_COLLAPSE))
    collapse_patience: int = field(default=3, metadata=within(1, 1000))  # measurements


@dataclass(frozen=True, kw_only=True)
class AutoencoderOptions(DecoderOptions):
    """A variational autoencoder."""

    reconstruction: str = field(default="sigma", metadata=among(RECONSTRUCTION_NAMES))
    kl_weight: float = field(default=1.0, metadata=within(0.0, 1000.0))  # β of the β-VAE
    kl_warmup_images: int = field(
        default=5_000, metadata=within(0, 1_000_000_000)
    )  # the weight grows linearly from 0 over these
    free_nats: float = field(default=0.0, metadata=within(0.0, 100.0))  # of KL in each dimension that cost nothing
    feature_size: int = field(default=128, metadata=within(1, 4096))  # of the encoder's last hidden layer
    # Gaussians fitted to the latents afterwards, shared by the classes, at least one each; 0: the standard normal.
    mixture: int = field(default=10, metadata=within(0, 1000))

    @property
    def objective(self) -> str:
        """What is minimised."""
        return f"{self.reconstruction} + {times(self.kl_weight, 'kl')}"

    def prior_parts(self, num_classes: int) -> int:
        """How many Gaussians are fitted for each of so many classes, 0: unconditional."""
        return -(-self.mixture // max(1, num_classes))

    def check(self, shape: Shape) -> None:
        """Raise ConfigError when the covariances of all Gaussians are more than a machine may be asked to hold."""
        super().check(shape)
        gaussians = self.prior_parts(shape.num_classes) * max(1, shape.num_classes)
        values = gaussians * self.latent_size**2
        if values > LARGEST_PRIOR:
            raise ConfigError(
                f"{gaussians} Gaussians over {self.latent_size} latents have {values:,} covariances,"
                f" at most {LARGEST_PRIOR:,} are allowed; lower latent_size, or set mixture to 0"
            )


@dataclass(frozen=True, kw_only=True)
class HybridOptions(AutoencoderOptions, JudgedOptions):
    """A variational autoencoder whose images a discriminator judges as well."""

    # Of the adversarial gradient, against that of the reconstruction by the same pixels.
    adversarial_weight: float = field(default=1.0, metadata=within(0.0, 1000.0))

    @property
    def objective(self) -> str:
        """What is minimised."""
        return f"{super().objective} + {times(self.adversarial_weight, self.adversarial)}"


@dataclass(frozen=True, kw_only=True)
class AdversarialOptions(JudgedOptions):
    """A generator against a discriminator; ``learning_rate`` is the generator's."""

    penalty: str = field(default="none", metadata=among(PENALTY_NAMES))  # on the discriminator's slope
    penalty_weight: float = field(default=1.0, metadata=within(0.0, 10_000.0))  # γ of R1 and R2, λ of GP
    penalty_every: int = field(default=1, metadata=within(1, 1000))  # steps, and then by as much heavier
    generator_every: int = field(default=1, metadata=within(1, 100))  # steps of the discriminator
    translation: float = field(
        default=0.0, metadata=within(0.0, 0.5)
    )  # DiffAugment: largest shift as a share of the side; 0: off
    cutout: float = field(default=0.0, metadata=within(0.0, 0.9))  # DiffAugment: side of the hole as a share; 0: off
    recolour: bool = False  # DiffAugment: brightness, saturation, contrast

    @property
    def objective(self) -> str:
        """What is minimised."""
        if self.penalty == "none":
            return self.adversarial
        return f"{self.adversarial} + {times(self.penalty_weight, self.penalty)}"


@dataclass(frozen=True, kw_only=True)
class ForestOptions(Checked):
    """An adversarial random forest on principal components. Neither is sensitive to the components' scale."""

    batch_size: int = field(default=256, metadata=within(2, 4096))  # images that are floats at a time
    components: int = field(default=32, metadata=within(1, 1024))  # of each group's images
    parts: int = field(default=8, metadata=within(1, 1000))  # that k-means cuts each class into, where it is large
    trees: int = field(default=10, metadata=within(1, 1000))  # of each forest
    leaf_images: int = field(default=3, metadata=within(1, 1_000_000))  # that a leaf has at least
    tolerance: float = field(default=0.0, metadata=within(0.0, 0.5))  # of the accuracy above one half that ends growing

    @property
    def objective(self) -> str:
        """What is minimised."""
        return "accuracy of the trees"

    def check(self, shape: Shape) -> None:
        """Raise ConfigError when the components of all groups are more than a machine may be asked to hold."""
        groups = max(1, shape.num_classes) * self.parts
        size = groups * (self.components + 1) * shape.channels * shape.image_size**2 * FLOAT_BYTES
        if size > LARGEST_FOREST_BYTES:
            raise ConfigError(
                f"the components of a forest take {size / 2**30:.1f} GiB for {groups} groups of images of "
                f"{shape.image_size} pixels a side, with {self.components} in each; "
                f"{LARGEST_FOREST_BYTES // 2**30} GiB are allowed: "
                "set fewer components or parts, or a smaller image size"
            )

"""The options of each family of models, with ranges that are checked where a value enters. Free of torch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import NamedTuple, get_args

from imagemodels.errors import ConfigError
from imagemodels.networks.restoration_specs import DegradationName, DegradationSpec, HoleShape
from imagemodels.networks.sequence_specs import Cell
from imagemodels.networks.specs import Backbone, Initialisation, Norm, Upsample
from imagemodels.optionchecks import among, spelt, within

ADVERSARIAL_NAMES = ("ns", "ls", "hinge", "wgan", "rp")
PENALTY_NAMES = ("none", "r1", "r1r2", "gp")
OPTIMIZERS = ("adam", "sgd")
ON_COLLAPSE = ("ignore", "stop", "rollback")
SAMPLING_NAMES = ("none", "linear", "reverse")
RECONSTRUCTION_NAMES = ("sigma", "mse", "l1", "bce")
FLOAT_BYTES = 4
LARGEST_FOREST_BYTES = 2**30  # of the components of all groups
DEGRADATION_NAMES = ("noise", "mask", "downsample", "blur", "jpeg", "given")
HOLE_SHAPES = ("boxes", "irregular")
LARGEST_PRIOR = 64_000_000  # covariances of all Gaussians: half a gigabyte while they are fitted, in float64


def _times(weight: float, name: str) -> str:
    return name if weight == 1 else f"{weight:g} {name}"


class Shape(NamedTuple):
    """What images a model is made for."""

    image_size: int  # pixels a side
    channels: int  # 1 or 3
    num_classes: int  # 0: unconditional


class Checked:
    """What all options have."""

    def check(self, shape: Shape) -> None:
        """Raise ConfigError when no such model can be made for these images: too few pixels, or too much memory."""


@dataclass(frozen=True, kw_only=True)
class DescentOptions(Checked, ABC):
    """What every model has that is trained by gradients."""

    batch_size: int = field(default=64, metadata=within(2, 4096))  # images of one optimizer step
    # Channels of the largest map, doubled with each halving; of an MLP, the width of each hidden layer.
    width: int = field(default=32, metadata=within(1, 4096))
    learning_rate: float = field(default=1e-3, metadata=within(1e-7, 1.0))
    optimizer: str = field(default="adam", metadata=among(OPTIMIZERS))
    beta1: float = field(default=0.9, metadata=within(0.0, 0.999))  # Adam
    beta2: float = field(default=0.999, metadata=within(0.0, 0.99999))  # Adam
    momentum: float = field(default=0.9, metadata=within(0.0, 0.999))  # SGD
    gradient_clip: float = field(default=0.0, metadata=within(0.0, 1e6))  # largest norm of a step's gradient; 0: off
    ema_half_life_images: int = field(
        default=10_000, metadata=within(0, 1_000_000_000)
    )  # of the averaged weights; 0: not averaged

    @property
    @abstractmethod
    def objective(self) -> str:
        """What is minimised, in the names of the objectives."""


@dataclass(frozen=True, kw_only=True)
class ImageOptions(DescentOptions):
    """What every model has that learns from single images: how these are changed."""

    horizontal_flips: bool = False  # wrong for digits and letters, right for most photographs
    vertical_flips: bool = False  # right where no side is up, as in the sky
    crop: float = field(default=0.0, metadata=within(0.0, 0.9))  # largest share of the side that is cut off; 0: off
    # Of brightness, saturation and contrast; 1: the whole range of DiffAugment's; 0: off.
    colour_jitter: float = field(default=0.0, metadata=within(0.0, 1.0))


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
        return f"{self.reconstruction} + {_times(self.kl_weight, 'kl')}"

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
        return f"{super().objective} + {_times(self.adversarial_weight, self.adversarial)}"


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
        return f"{self.adversarial} + {_times(self.penalty_weight, self.penalty)}"


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions(ImageOptions):
    """A convolutional classifier."""

    feature_size: int = field(default=64, metadata=within(1, 4096))  # of the penultimate layer
    weight_decay: float = field(default=0.0, metadata=within(0.0, 1.0))

    @property
    def objective(self) -> str:
        """What is minimised."""
        return "cross-entropy"


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


_LEVEL = "(?:[2-9]|1[0-6])"


@dataclass(frozen=True, kw_only=True)
class CodecOptions(ImageOptions):
    """An autoencoder whose codes are whole numbers on a grid; ``width`` doubles with each halving."""

    # How many values each channel of the codes may take; the sum of their logarithms is the rate of a place.
    levels: str = field(
        default="8,5,5,5",
        metadata=spelt(rf"{_LEVEL}(?:,{_LEVEL}){{0,15}}", "1 to 16 numbers from 2 to 16, such as 8,5,5,5"),
    )
    halvings: int = field(default=2, metadata=within(1, 4))  # of the side: a place is 2 to 16 pixels wide
    blocks: int = field(default=2, metadata=within(0, 16))  # residual, at the grid, in encoder and decoder each
    reconstruction: str = field(default="mse", metadata=among(RECONSTRUCTION_NAMES))

    @property
    def code_levels(self) -> tuple[int, ...]:
        """The levels as numbers."""
        return tuple(map(int, self.levels.split(",")))

    @property
    def objective(self) -> str:
        """What is minimised."""
        return f"{self.reconstruction}, codes rounded"

    def check(self, shape: Shape) -> None:
        """Raise ConfigError when the halvings leave one place: of one there are no statistics."""
        if -(-shape.image_size // 2**self.halvings) < 2:
            raise ConfigError(
                f"{self.halvings} halvings leave one place of an image of {shape.image_size} pixels; take fewer"
            )


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(DescentOptions):
    """A recurrent network that goes on with a sequence; where others count images, it counts sequences."""

    cell: Cell = field(default="convlstm", metadata=among(get_args(Cell)))
    layers: int = field(default=2, metadata=within(1, 16))
    patch: int = field(default=0, metadata=within(0, 64))  # pixels a side; 0: so that maps have 8 at most
    reach: int = field(default=1, metadata=within(1, 4))  # positions to each side that a cell looks at
    given_frames: int = field(default=10, metadata=within(1, 500))
    predicted_frames: int = field(default=10, metadata=within(1, 500))
    reconstruction: str = field(default="bce", metadata=among(RECONSTRUCTION_NAMES))
    # Whether true frames or predictions are looked at while it trains.
    sampling: str = field(default="reverse", metadata=among(SAMPLING_NAMES))
    sampling_images: int = field(default=20_000, metadata=within(0, 1_000_000_000))  # until it is as in use

    @property
    def objective(self) -> str:
        """What is minimised."""
        return self.reconstruction


@dataclass(frozen=True, kw_only=True)
class RestorationOptions(ImageOptions):
    """A network from damaged images to whole ones, trained on damage of its own making."""

    # given: that of the data set, which has pairs of images; it is set where the data set has them.
    degradation: DegradationName = field(default="noise", metadata=among(DEGRADATION_NAMES))
    noise_sigma: float = field(default=0.2, metadata=within(0.001, 2.0))  # in units of the range of a pixel
    hole_shape: HoleShape = field(default="boxes", metadata=among(HOLE_SHAPES))
    hole_count: int = field(default=2, metadata=within(1, 32))
    hole_share: float = field(default=0.5, metadata=within(0.01, 1.0))  # longest side of a hole against the image's
    downsample_factor: int = field(default=2, metadata=within(2, 16))
    blur_sigma: float = field(default=1.5, metadata=within(0.1, 16.0))  # pixels
    jpeg_quality: int = field(default=10, metadata=within(1, 100))
    halvings: int = field(default=2, metadata=within(1, 6))  # of the side
    blocks: int = field(default=1, metadata=within(0, 16))  # residual, at the smallest map
    skips: bool = True  # False: a plain encoder and decoder
    residual: bool = True  # what is made is added to the damaged image
    reconstruction: str = field(default="l1", metadata=among(("mse", "l1")))

    @property
    def damage(self) -> DegradationSpec:
        """The degradation with its strength."""
        names = [option.name for option in fields(DegradationSpec) if option.name != "name"]
        return DegradationSpec(name=self.degradation, **{name: getattr(self, name) for name in names})

    @property
    def objective(self) -> str:
        """What is minimised."""
        return self.reconstruction


@dataclass(frozen=True, kw_only=True)
class TranslationOptions(RestorationOptions):
    """A restoring network whose images a discriminator judges, patch by patch, beside those they were made from."""

    adversarial: str = field(default="ns", metadata=among(("ns", "ls", "hinge")))
    reconstruction_weight: float = field(default=100.0, metadata=within(0.0, 100_000.0))  # of the mean over values
    discriminator_learning_rate: float = field(default=2e-4, metadata=within(1e-7, 1.0))
    discriminator_width: int = field(default=32, metadata=within(1, 4096))
    patch_halvings: int = field(default=2, metadata=within(1, 3))  # of the side, from pixels to logits
    spectral_norm: bool = True  # of every weight of the discriminator

    @property
    def objective(self) -> str:
        """What is minimised."""
        return f"{self.adversarial} + {_times(self.reconstruction_weight, self.reconstruction)}"


Options = (
    AutoencoderOptions
    | HybridOptions
    | AdversarialOptions
    | ClassifierOptions
    | ForestOptions
    | CodecOptions
    | SequenceOptions
    | RestorationOptions
)

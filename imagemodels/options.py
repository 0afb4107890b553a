"""The options of each family of models, with ranges that are checked where a value enters. Free of torch."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from imagemodels.errors import ConfigError
from imagemodels.names import did_you_mean
from imagemodels.networks.sequence_specs import Cell
from imagemodels.networks.specs import Backbone, Initialisation, Norm, Upsample

BACKBONES = ("conv", "mlp")
INITIALISATIONS = ("normal", "orthogonal", "default")
NORMS = ("batch", "none")
UPSAMPLES = ("nearest", "transposed")
ADVERSARIAL_NAMES = ("ns", "ls", "hinge", "wgan", "rp")
PENALTY_NAMES = ("none", "r1", "r1r2", "gp")
OPTIMIZERS = ("adam", "sgd")
ON_COLLAPSE = ("ignore", "stop", "rollback")
CELLS = ("convlstm", "stlstm")
SAMPLING_NAMES = ("none", "linear", "reverse")
RECONSTRUCTION_NAMES = ("sigma", "mse", "l1", "bce")
LARGEST_PRIOR = 64_000_000  # covariances of all Gaussians: half a gigabyte while they are fitted, in float64


def _times(weight: float, name: str) -> str:
    return name if weight == 1 else f"{weight:g} {name}"


def within(lowest: float, highest: float) -> dict[str, float]:
    """Describe a number between ``lowest`` and ``highest``, both allowed; its type is that of the default."""
    return {"lowest": lowest, "highest": highest}


def among(choices: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Describe a name out of ``choices``."""
    return {"choices": choices}


def spelt(pattern: str, meaning: str) -> dict[str, str]:
    """Describe a text that matches ``pattern`` as a whole; ``meaning`` says in words what it must be."""
    return {"pattern": pattern, "meaning": meaning}


@dataclass(frozen=True, kw_only=True)
class DescentOptions(ABC):
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

    backbone: Backbone = field(default="conv", metadata=among(BACKBONES))
    depth: int = field(default=2, metadata=within(1, 32))  # hidden layers of an MLP
    latent_size: int = field(default=64, metadata=within(1, 4096))
    class_size: int = field(default=16, metadata=within(1, 4096))  # numbers that stand for the class in the input
    upsample: Upsample = field(default="nearest", metadata=among(UPSAMPLES))
    norm: Norm = field(default="batch", metadata=among(NORMS))  # of the decoder
    residual: bool = False
    initialisation: Initialisation = field(default="default", metadata=among(INITIALISATIONS))


@dataclass(frozen=True, kw_only=True)
class JudgedOptions(DecoderOptions):
    """What every model has whose images a discriminator judges."""

    adversarial: str = field(default="hinge", metadata=among(ADVERSARIAL_NAMES))
    discriminator_learning_rate: float = field(default=4e-4, metadata=within(1e-7, 1.0))
    discriminator_width: int = field(default=32, metadata=within(1, 4096))
    discriminator_norm: Norm = field(default="none", metadata=among(NORMS))
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

    def check_prior(self, num_classes: int) -> None:
        """Raise ConfigError when the covariances of all Gaussians are more than a machine may be asked to hold."""
        gaussians = self.prior_parts(num_classes) * max(1, num_classes)
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
class ForestOptions:
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


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(DescentOptions):
    """A recurrent network that goes on with a sequence; where others count images, it counts sequences."""

    cell: Cell = field(default="convlstm", metadata=among(CELLS))
    layers: int = field(default=2, metadata=within(1, 16))
    patch: int = field(default=0, metadata=within(0, 64))  # pixels a side; 0: so that maps have 16 at most
    reach: int = field(default=1, metadata=within(1, 4))  # positions to each side that a cell looks at
    given_frames: int = field(default=10, metadata=within(1, 500))
    predicted_frames: int = field(default=10, metadata=within(1, 500))
    reconstruction: str = field(default="mse", metadata=among(RECONSTRUCTION_NAMES))
    # Whether true frames or predictions are looked at while it trains.
    sampling: str = field(default="reverse", metadata=among(SAMPLING_NAMES))
    sampling_images: int = field(default=20_000, metadata=within(0, 1_000_000_000))  # until it is as in use

    @property
    def objective(self) -> str:
        """What is minimised."""
        return self.reconstruction


# What means nothing where another option has that value.
MEANINGLESS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("backbone", "mlp"): ("upsample", "norm", "residual", "discriminator_norm", "feature_size"),
    ("backbone", "conv"): ("depth",),
    ("optimizer", "sgd"): ("beta1", "beta2"),
    ("optimizer", "adam"): ("momentum",),
}
Options = (
    AutoencoderOptions
    | HybridOptions
    | AdversarialOptions
    | ClassifierOptions
    | ForestOptions
    | CodecOptions
    | SequenceOptions
)


def overridden(options: Options, overrides: Mapping[str, object], preset: str) -> Options:
    """Return ``options`` with ``overrides``.

    Raises ConfigError when a name is unknown, a value has the wrong type or lies outside its range.
    """
    known = {option.name: option for option in fields(options)}
    for name in overrides:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"preset {preset!r} has no option {name!r}{hint}; it has {', '.join(sorted(known))}")
    checked: dict[str, Any] = {name: _checked(known[name], value) for name, value in overrides.items()}
    changed = replace(options, **checked)
    _require_meaning(changed, overrides)
    return changed


def _require_meaning(options: Options, overrides: Mapping[str, object]) -> None:
    """Raise ConfigError for an option that means nothing to the chosen backbone or optimizer."""
    for (chooser, value), names in MEANINGLESS.items():
        found = [name for name in names if name in overrides and getattr(options, chooser, None) == value]
        if found:
            raise ConfigError(f"option {found[0]!r} means nothing to {chooser} {value!r}; leave it out")


def _checked(option: "Field[Any]", value: object) -> object:
    if "choices" in option.metadata:
        return _choice(option.name, value, option.metadata["choices"])
    if "pattern" in option.metadata:
        return _text(option, value)
    if isinstance(option.default, bool):
        if not isinstance(value, bool):
            raise ConfigError(f"option {option.name!r} is true or false, got {value!r}")
        return value
    return _number(option, value)


def _choice(name: str, value: object, choices: tuple[str, ...]) -> object:
    if value not in choices:
        hint = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise ConfigError(f"option {name!r} is one of {', '.join(choices)}; got {value!r}{hint}")
    return value


def _text(option: "Field[Any]", value: object) -> str:
    text = str(value) if isinstance(value, int | str) else ""  # one number alone is no less a text
    if not re.fullmatch(option.metadata["pattern"], text):
        raise ConfigError(f"option {option.name!r} is {option.metadata['meaning']}; got {value!r}")
    return text


def _number(option: "Field[Any]", value: object) -> int | float:
    whole = isinstance(option.default, int)
    fits = isinstance(value, int) if whole else isinstance(value, int | float)
    if not fits or isinstance(value, bool):
        raise ConfigError(f"option {option.name!r} is a {'whole ' if whole else ''}number, got {value!r}")
    assert isinstance(value, int | float)
    lowest, highest = option.metadata["lowest"], option.metadata["highest"]
    if not lowest <= value <= highest:  # also refuses NaN
        raise ConfigError(f"option {option.name!r} lies between {lowest} and {highest}, got {value}")
    return value if whole else float(value)

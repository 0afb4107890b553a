"""The models by name. Free of torch, so that a job can be checked before a device is found for it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from imagemodels.errors import ConfigError, UnknownPreset
from imagemodels.names import did_you_mean
from imagemodels.options import AdversarialOptions, AutoencoderOptions, ClassifierOptions, Options, overridden

Family = Literal["autoencoder", "adversarial", "classifier"]
SMALLEST_SIDE = 8  # pixels
LARGEST_SIDE = 256
CHANNEL_COUNTS = (1, 3)  # gray, RGB


@dataclass(frozen=True, slots=True)
class Preset:
    """A model by name: its family, where it comes from, and its options."""

    name: str
    family: Family
    summary: str
    paper: str
    options: Options

    @property
    def makes_images(self) -> bool:
        """Whether the trained model is a generator rather than a classifier."""
        return self.family != "classifier"


_ALL = (
    Preset(
        name="vae",
        family="autoencoder",
        summary="variational autoencoder with an optimal-variance decoder; quick, stable, a little soft",
        paper="Kingma & Welling, arXiv 1312.6114; Rybkin et al., arXiv 2006.13202",
        # The bound itself (β = 1). A heavier KL term, such as kl_weight=6, keeps the latents nearer to their prior:
        # samples stay more surely of their class, reconstructions get softer.
        options=AutoencoderOptions(latent_size=64, class_size=64),
    ),
    Preset(
        name="dcgan",
        family="adversarial",
        summary="the classic DCGAN, faithfully; a baseline to compare with",
        paper="Radford et al., arXiv 1511.06434",
        options=AdversarialOptions(
            adversarial="ns",
            latent_size=100,
            width=64,
            discriminator_width=64,
            learning_rate=2e-4,
            discriminator_learning_rate=2e-4,
            beta1=0.5,
            beta2=0.999,
            upsample="transposed",
            norm="batch",
            discriminator_norm="batch",
            spectral_norm=False,
            residual=False,
            initialisation="normal",
        ),
    ),
    Preset(
        name="sngan",
        family="adversarial",
        summary="residual GAN with a spectrally normalised discriminator; the sharpest pictures",
        paper="Miyato et al., arXiv 1802.05957; Miyato & Koyama, arXiv 1802.05637",
        options=AdversarialOptions(
            adversarial="hinge",
            latent_size=64,
            # Larger ones drown the latents: every image of a class then comes out alike.
            class_size=16,
            batch_size=32,
            width=16,
            discriminator_width=24,
            learning_rate=2e-4,
            discriminator_learning_rate=1e-3,
            beta1=0.0,
            beta2=0.9,
            residual=True,
            initialisation="orthogonal",
        ),
    ),
    Preset(
        name="cnn",
        family="classifier",
        summary="convolutional classifier; judges generated images and gives the features of the evaluation",
        paper="LeCun et al., Proceedings of the IEEE 86 (1998)",
        options=ClassifierOptions(width=16, learning_rate=2e-3, ema_half_life_images=1_000),
    ),
)
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _ALL}


def resolve(name: str, overrides: Mapping[str, object] | None = None) -> Preset:
    """Return the preset ``name`` with some of its options replaced.

    Raises UnknownPreset when there is no such preset, and ConfigError when an option is unknown or its value is not
    allowed.
    """
    if name not in PRESETS:
        raise UnknownPreset(
            f"preset {name!r} does not exist{did_you_mean(name, PRESETS)}; choose one of {', '.join(PRESETS)}"
        )
    preset = PRESETS[name]
    return replace(preset, options=overridden(preset.options, overrides or {}, name))


def check_shape(image_size: int, channels: int, num_classes: int) -> None:
    """Raise ConfigError unless a model can make ``image_size`` pixels a side, gray or RGB, of 0 or K classes."""
    if not SMALLEST_SIDE <= image_size <= LARGEST_SIDE:
        raise ConfigError(f"image_size lies between {SMALLEST_SIDE} and {LARGEST_SIDE} pixels, got {image_size}")
    if channels not in CHANNEL_COUNTS:
        raise ConfigError(f"channels is 1 (gray) or 3 (RGB), got {channels}")
    if num_classes < 0 or num_classes == 1:
        raise ConfigError(f"num_classes is 0 (unconditional) or at least 2, got {num_classes}")

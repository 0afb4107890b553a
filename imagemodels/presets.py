"""The models by name. Free of torch, so that a job can be checked before a device is found for it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from imagemodels.errors import ConfigError, UnknownPreset
from imagemodels.names import did_you_mean
from imagemodels.optionchecks import overridden
from imagemodels.options import (
    AdversarialOptions,
    AutoencoderOptions,
    ClassifierOptions,
    CodecOptions,
    ForestOptions,
    HybridOptions,
    Options,
    RestorationOptions,
    SequenceOptions,
    TranslationOptions,
)
from imagemodels.traits import TRAITS, Family, Traits

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
    def traits(self) -> Traits:
        """What it has in common with the others of its family."""
        return TRAITS[self.family]


_ALL = (
    Preset(
        name="vae",
        family="autoencoder",
        summary="variational autoencoder with an optimal-variance decoder; quick, stable, a little soft",
        paper="Kingma & Welling, arXiv 1312.6114; Rybkin et al., arXiv 2006.13202",
        # The bound itself (β = 1): images are drawn from Gaussians fitted to the latents afterwards, so that no heavier
        # KL term has to bring the latents near to a prior.
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
        summary="GAN with a spectrally normalised discriminator and the hinge loss; the sharpest pictures",
        paper="Miyato et al., arXiv 1802.05957; Miyato & Koyama, arXiv 1802.05637",
        options=AdversarialOptions(
            adversarial="hinge",
            latent_size=64,
            # Larger ones drown the latents: every image of a class then comes out alike.
            class_size=16,
            batch_size=32,
            width=32,
            discriminator_width=32,
            # Large for a GAN: spectral norm bounds how far a step can tilt the discriminator.
            learning_rate=1e-3,
            discriminator_learning_rate=2e-3,
            beta1=0.0,
            beta2=0.9,
            initialisation="orthogonal",
        ),
    ),
    Preset(
        name="lsgan",
        family="adversarial",
        summary="DCGAN's networks with the least-squares loss and a spectrally normalised discriminator",
        paper="Mao et al., arXiv 1611.04076",
        options=AdversarialOptions(
            adversarial="ls",
            latent_size=100,
            width=32,
            discriminator_width=32,
            learning_rate=2e-4,
            discriminator_learning_rate=2e-4,
            beta1=0.5,
            beta2=0.999,
            initialisation="normal",
        ),
    ),
    Preset(
        name="wgan-gp",
        family="adversarial",
        summary="Wasserstein GAN with gradient penalty; slow: five steps of the critic for one; not tuned",
        paper="Arjovsky et al., arXiv 1701.07875; Gulrajani et al., arXiv 1704.00028",
        options=AdversarialOptions(
            adversarial="wgan",
            penalty="gp",
            penalty_weight=10.0,
            generator_every=5,
            latent_size=64,
            batch_size=32,
            width=16,
            discriminator_width=24,
            learning_rate=5e-4,
            discriminator_learning_rate=5e-4,
            beta1=0.0,
            beta2=0.9,
            spectral_norm=False,
            residual=True,
            initialisation="orthogonal",
        ),
    ),
    Preset(
        name="r3gan",
        family="adversarial",
        summary="relativistic GAN with slope penalties on real and generated images, no normalisation; not tuned",
        paper="Huang et al., arXiv 2501.05441; Jolicoeur-Martineau, arXiv 1807.00734",
        options=AdversarialOptions(
            adversarial="rp",
            penalty="r1r2",
            penalty_weight=1.0,
            latent_size=64,
            batch_size=32,
            width=16,
            discriminator_width=24,
            learning_rate=2e-4,
            discriminator_learning_rate=2e-4,
            beta1=0.0,
            beta2=0.99,
            norm="none",
            spectral_norm=False,
            residual=True,
            initialisation="orthogonal",
        ),
    ),
    Preset(
        name="beta-vae",
        family="autoencoder",
        summary="variational autoencoder with a heavier prior: fewer, better separated latents, softer pictures",
        paper="Higgins et al., ICLR 2017; Burgess et al., arXiv 1804.03599",
        options=AutoencoderOptions(latent_size=32, class_size=64, kl_weight=4.0),
    ),
    Preset(
        name="mlp-vae",
        family="autoencoder",
        summary="fully connected variational autoencoder: the first one, very quick on small images",
        paper="Kingma & Welling, arXiv 1312.6114",
        options=AutoencoderOptions(backbone="mlp", width=512, depth=2, latent_size=32, class_size=64),
    ),
    Preset(
        name="mlp-gan",
        family="adversarial",
        summary="fully connected GAN: the first one's networks, held together by slope penalties",
        paper="Goodfellow et al., arXiv 1406.2661; the game: Huang et al., arXiv 2501.05441",
        # Under spectral norm, `ns` and `hinge` made the same few digits over and over.
        options=AdversarialOptions(
            backbone="mlp",
            adversarial="rp",
            penalty="r1r2",
            penalty_weight=5.0,
            latent_size=64,
            width=256,
            discriminator_width=256,
            depth=3,
            learning_rate=5e-4,
            discriminator_learning_rate=5e-4,
            beta1=0.0,
            beta2=0.999,
            spectral_norm=False,
        ),
    ),
    Preset(
        name="vae-gan",
        family="hybrid",
        summary="variational autoencoder judged by a discriminator: latents of a VAE, sharper pictures",
        paper="Larsen et al., arXiv 1512.09300; weight of the losses: Esser et al., arXiv 2012.09841",
        options=HybridOptions(
            latent_size=64,
            class_size=64,
            batch_size=32,
            discriminator_width=24,
            learning_rate=1e-3,
            discriminator_learning_rate=4e-4,
            beta1=0.5,
            beta2=0.99,
        ),
    ),
    Preset(
        name="forest",
        family="forest",
        summary="adversarial random forest on principal components; no gradients, no GPU",
        paper="Watson et al., AISTATS 2023, arXiv 2205.09435",
        options=ForestOptions(),
    ),
    Preset(
        name="convlstm",
        family="sequence",
        summary="convolutional LSTM that predicts the next frames of a sequence",
        paper="Shi et al., arXiv 1506.04214",
        options=SequenceOptions(
            cell="convlstm",
            batch_size=16,
            width=64,
            learning_rate=3e-3,
            sampling="linear",
            ema_half_life_images=2_000,
        ),
    ),
    Preset(
        name="predrnn",
        family="sequence",
        summary="recurrent net that predicts next frames, with a memory that zigzags through its layers; larger",
        paper="Wang et al., NeurIPS 2017; arXiv 2103.09504",
        options=SequenceOptions(
            cell="stlstm",
            batch_size=16,
            width=64,
            learning_rate=3e-3,
            sampling="reverse",
            ema_half_life_images=2_000,
        ),
    ),
    Preset(
        name="cnn",
        family="classifier",
        summary="convolutional classifier; judges generated images and gives the features of the evaluation",
        paper="LeCun et al., Proceedings of the IEEE 86 (1998)",
        options=ClassifierOptions(width=16, learning_rate=2e-3, ema_half_life_images=1_000),
    ),
    Preset(
        name="fsq-ae",
        family="codec",
        summary="autoencoder with whole numbers in the middle: compresses images like those that it has seen",
        paper="Mentzer et al., arXiv 2309.15505",
        options=CodecOptions(batch_size=32, learning_rate=2e-3, ema_half_life_images=2_000),
    ),
    Preset(
        name="conv-ae",
        family="restoration",
        summary="convolutional autoencoder with skips (U-Net) that restores: noise, holes, low resolution, blur, JPEG",
        paper="Vincent et al., JMLR 11 (2010); Ronneberger et al., arXiv 1505.04597",
        options=RestorationOptions(batch_size=32, width=24, ema_half_life_images=2_000),
    ),
    Preset(
        name="pix2pix",
        family="restoration",
        summary="U-Net judged patch by patch: image to image, sharper than conv-ae; of damage, or of pairs of images",
        paper="Isola et al., arXiv 1611.07004",
        options=TranslationOptions(
            batch_size=16,
            width=24,
            halvings=3,
            learning_rate=5e-4,
            beta1=0.5,
            ema_half_life_images=2_000,
        ),
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


def options_for_pairs(preset: str, overrides: Mapping[str, object]) -> dict[str, object]:
    """Return ``overrides`` for a data set of pairs, in which the damaged images are given.

    Raises ConfigError, or UnknownPreset, when the preset learns from single images or is to damage them itself.
    """
    if not resolve(preset).traits.restores_images:
        raise ConfigError(f"preset {preset!r} learns from single images, and was given pairs of them")
    if overrides.get("degradation", "given") != "given":
        raise ConfigError(f"the data set has pairs of images: degradation {overrides['degradation']!r} means nothing")
    return {**overrides, "degradation": "given"}


def check_shape(image_size: int, channels: int, num_classes: int) -> None:
    """Raise ConfigError unless a model can make ``image_size`` pixels a side, gray or RGB, of 0 or K classes."""
    if not SMALLEST_SIDE <= image_size <= LARGEST_SIDE:
        raise ConfigError(f"image_size lies between {SMALLEST_SIDE} and {LARGEST_SIDE} pixels, got {image_size}")
    if channels not in CHANNEL_COUNTS:
        raise ConfigError(f"channels is 1 (gray) or 3 (RGB), got {channels}")
    if num_classes < 0 or num_classes == 1:
        raise ConfigError(f"num_classes is 0 (unconditional) or at least 2, got {num_classes}")

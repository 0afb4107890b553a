"""The options of models that restore images."""

from dataclasses import dataclass, field, fields

from imagemodels.networks.restoration_specs import DegradationName, DegradationSpec, HoleShape
from imagemodels.optionchecks import among, within
from imagemodels.options.base import ImageOptions, times

DEGRADATION_NAMES = ("noise", "mask", "downsample", "blur", "jpeg", "given")
HOLE_SHAPES = ("boxes", "irregular")


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
        return f"{self.adversarial} + {times(self.reconstruction_weight, self.reconstruction)}"

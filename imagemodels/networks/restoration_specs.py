"""What a network that restores images is made of, and for which damage it was trained. Free of torch."""

from dataclasses import dataclass
from typing import Literal

DegradationName = Literal["noise", "mask", "downsample", "blur", "jpeg", "given"]
HoleShape = Literal["boxes", "irregular"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationSpec:
    """A damage by name, and how strong it is; what belongs to another name has no influence."""

    name: DegradationName  # given: that of the data set, whose images come in pairs
    noise_sigma: float = 0.2  # standard deviation, in units of the range of a pixel
    hole_shape: HoleShape = "boxes"
    hole_count: int = 2
    hole_share: float = 0.5  # the longest that a hole gets, in units of the image's side
    downsample_factor: int = 2
    blur_sigma: float = 1.5  # pixels
    jpeg_quality: int = 10  # 1 to 100

    @property
    def has_holes(self) -> bool:
        """Whether parts of an image are missing, and all else is as it was."""
        return self.name == "mask"

    @property
    def enlarges(self) -> int:
        """By how much the side of an image grows when it is restored."""
        return self.downsample_factor if self.name == "downsample" else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorerSpec:
    """A network from damaged images to whole ones."""

    image_size: int  # pixels; larger images are restored in tiles
    channels: int
    width: int  # channels of the maps at full size; doubled with each halving, at most eight times
    halvings: int  # of the side
    blocks: int  # residual blocks at the smallest map
    skips: bool  # maps of the way down are seen again on the way up
    residual: bool  # what is made is added to the damaged image
    degradation: DegradationSpec
    num_classes: int = 0  # it knows none


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchJudgeSpec:
    """A network that judges each patch of an image beside the image that it was made from."""

    channels: int
    width: int  # channels after the first halving, doubled with each further one
    halvings: int  # of the side, from pixels to logits
    spectral: bool  # spectral normalisation of every weight

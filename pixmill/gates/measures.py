"""What can be measured of a model that makes images, as gates call it, and the gates of those who ask for none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Better = Literal["lower", "higher"]
Unit = Literal["", "images/s", "bytes"]

SHARE = (0.0, 1.0)
ANY = (float("-inf"), float("inf"))
NOT_NEGATIVE = (0.0, float("inf"))


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure.

    real         the control whose value is as good as it gets: beyond it a model earns nothing, and loses nothing
    is_exact     the same whatever the seed, so that one value has no error
    """

    better: Better
    meaning: str
    bounds: tuple[float, float] = SHARE  # what it can be
    needs_classes: bool = False
    real: Literal["held_out_real", "real_training"] | None = None
    is_exact: bool = False
    unit: Unit = ""


_SHARE_DOWN = Measure(better="lower", meaning="")
_SHARE_UP = Measure(better="higher", meaning="")
_OF_CLASSES = replace(_SHARE_UP, needs_classes=True)

# In the order in which they are shown. But for the last, what each is made of is in imagemodels.evaluation.
MEASURES: Mapping[str, Measure] = {
    "kid": Measure(better="lower", meaning="kernel distance to the training images", bounds=ANY, real="held_out_real"),
    "fd": Measure(better="lower", meaning="Fréchet distance to the training images", bounds=NOT_NEGATIVE),
    "precision": replace(_SHARE_UP, meaning="share of generated images among real ones"),
    "recall": replace(_SHARE_UP, meaning="share of real images among generated ones"),
    "density": replace(_SHARE_UP, meaning="how densely real images surround generated ones", bounds=NOT_NEGATIVE),
    "coverage": replace(_SHARE_UP, meaning="share of real images with a generated one close by"),
    "usefulness": replace(
        _OF_CLASSES, meaning="accuracy on real images of a cnn that learnt from generated ones", real="real_training"
    ),
    "agreement": replace(
        _OF_CLASSES, meaning="share of images that show the class they were made for", real="held_out_real"
    ),
    "class_share": replace(
        _OF_CLASSES, meaning="of the class shown least, images by those that should be", bounds=NOT_NEGATIVE
    ),
    "class_agreement": replace(_OF_CLASSES, meaning="agreement of the class that has the least"),
    "exact_copies": replace(_SHARE_DOWN, meaning="share of images that equal a training image"),
    "near_copies": replace(_SHARE_DOWN, meaning="share of images near a training image", real="held_out_real"),
    "memorisation_z": replace(
        _SHARE_UP, meaning="far below 0: closer to training images than new ones", bounds=ANY, real="held_out_real"
    ),
    "repeats": replace(_SHARE_DOWN, meaning="share of images that equal an earlier one"),
    "near_repeats": replace(_SHARE_DOWN, meaning="share of images near another one"),
    "speed": Measure(better="higher", meaning="images made in a second", bounds=NOT_NEGATIVE, unit="images/s"),
    "memory": Measure(
        better="lower", meaning="of weights and the largest layer", bounds=NOT_NEGATIVE, is_exact=True, unit="bytes"
    ),
}

# Asked of every model, and not to be loosened.
HEALTH: Mapping[str, Measure] = {
    "bad_weights": Measure(better="lower", meaning="weights that are not finite", bounds=NOT_NEGATIVE, is_exact=True),
    "bad_pixels": Measure(better="lower", meaning="pixels that are not finite", bounds=NOT_NEGATIVE, is_exact=True),
}
COPYING = ("exact_copies", "near_copies", "memorisation_z", "repeats", "near_repeats")

DEFAULT_PRIMARY = "kid"


def measure_of(name: str) -> Measure:
    """The measure of that name, health included."""
    return HEALTH.get(name) or MEASURES[name]

"""What the families of models have in common and where they differ, in one table. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Family = Literal["autoencoder", "adversarial", "hybrid", "forest", "classifier", "codec", "sequence", "restoration"]
Shown = Literal["generated", "decoded", "predicted", "restored"]
Metric = Literal["kid", "accuracy", "psnr", "mse"]
HIGHER_IS_BETTER: frozenset[str] = frozenset({"accuracy", "psnr"})  # of the metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """A family: what its trained model is, and how training chooses and shows it."""

    product: str = "generator"  # for messages
    makes_images: bool = False  # of nothing but random numbers
    predicts_frames: bool = False  # and is trained on sequences
    restores_images: bool = False  # of damaged ones
    finds_latents: bool = False  # of given images, with an encoder
    learns_classes: bool = True
    shares_batches: bool = True  # out to several devices
    judges_held_out: bool = False  # it is measured by images that are held out
    metric: Metric  # by which the best weights are chosen
    shown: Shown | None  # in the grids that are drawn while it trains


_GENERATOR = Traits(makes_images=True, metric="kid", shown="generated")
_AUTOENCODER = replace(_GENERATOR, finds_latents=True)

TRAITS: Mapping[Family, Traits] = {
    "autoencoder": _AUTOENCODER,
    "adversarial": _GENERATOR,
    "hybrid": _AUTOENCODER,
    "forest": replace(_GENERATOR, shares_batches=False),
    "classifier": Traits(product="classifier", judges_held_out=True, metric="accuracy", shown=None),
    "codec": Traits(product="codec", learns_classes=False, metric="psnr", shown="decoded"),
    "sequence": Traits(
        product="predictor of frames", predicts_frames=True, learns_classes=False, metric="mse", shown="predicted"
    ),
    "restoration": Traits(
        product="restorer of images",
        restores_images=True,
        learns_classes=False,
        shares_batches=False,
        judges_held_out=True,
        metric="psnr",
        shown="restored",
    ),
}

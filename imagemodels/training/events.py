"""What a training run reports while it goes on. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step is done."""

    images_seen: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far and how fast, about once a second; losses are means since the last report."""

    images_seen: int
    total: int  # images
    losses: Mapping[str, float]
    images_per_second: float
    micro_batch: int  # images in the networks at a time; fewer than a batch where the memory is short


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Images (N, H, W, C), uint8, always of the same latents and classes, held-out sequences or damaged images."""

    images_seen: int
    images: NDArray[np.uint8]
    columns: int | None = None  # of a grid in which they make sense; None: any


@dataclass(frozen=True, slots=True)
class Quality:
    """A measurement of the averaged weights; ``best`` when none before was better."""

    images_seen: int
    value: float
    best: bool


@dataclass(frozen=True, slots=True)
class Collapse:
    """The quality was worse than twice the best too often in a row: the run is back at the best, or ends here."""

    images_seen: int  # when it was noticed
    value: float  # measured then
    best_images_seen: int
    best_value: float
    goes_on: bool  # from the best state, on another path


Event = Step | Progress | Samples | Quality | Collapse

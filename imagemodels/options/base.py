"""What the options of several families have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

from imagemodels.optionchecks import among, within

OPTIMIZERS = ("adam", "sgd")
RECONSTRUCTION_NAMES = ("sigma", "mse", "l1", "bce")


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


def times(weight: float, name: str) -> str:
    """Write a term of an objective with its weight."""
    return name if weight == 1 else f"{weight:g} {name}"

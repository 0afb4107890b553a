"""The options of models that compress."""

from dataclasses import dataclass, field

from imagemodels.errors import ConfigError
from imagemodels.optionchecks import among, spelt, within
from imagemodels.options.base import RECONSTRUCTION_NAMES, ImageOptions, Shape

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

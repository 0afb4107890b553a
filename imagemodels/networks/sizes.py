"""How a square image of any side is reached by doubling a small map."""

from dataclasses import dataclass

LARGEST_BASE_SIDE = 7  # pixels; keeps the smallest map at 4 to 7 pixels for every image of 8 pixels and more


@dataclass(frozen=True, slots=True)
class SizePlan:
    """A base map of ``base_side`` pixels, doubled ``stages`` times, covers an image of ``image_size`` pixels.

    >>> SizePlan.of(28)
    SizePlan(image_size=28, base_side=7, stages=2)
    >>> SizePlan.of(33).padded_side
    40
    """

    image_size: int
    base_side: int
    stages: int

    @classmethod
    def of(cls, image_size: int) -> "SizePlan":
        """Return the plan with the fewest doublings whose base map has at most seven pixels a side."""
        stages = 0
        while -(-image_size // 2**stages) > LARGEST_BASE_SIDE:
            stages += 1
        return cls(image_size, -(-image_size // 2**stages), stages)

    @property
    def padded_side(self) -> int:
        """The side in pixels of the smallest map that both covers the image and can be halved to the base."""
        return self.base_side << self.stages

    @property
    def margins(self) -> tuple[int, int]:
        """The pixels before and after the image that fill it up to ``padded_side``."""
        missing = self.padded_side - self.image_size
        return missing // 2, missing - missing // 2

    def widths(self, width: int, widest: int = 8) -> tuple[int, ...]:
        """Channels of the maps from full size down to the base: ``width`` doubled each time, at most ``widest`` times.

        >>> SizePlan.of(64).widths(64)
        (64, 128, 256, 512)
        """
        return tuple(width * min(2**stage, widest) for stage in range(self.stages))

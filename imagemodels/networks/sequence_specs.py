"""What a network that predicts frames is made of, as frozen data. Free of torch."""

from dataclasses import dataclass
from typing import Literal

Cell = Literal["convlstm", "stlstm"]
LARGEST_MAP = 8  # positions a side, for which the patches are chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSpec:
    """A recurrent network from the frames of a sequence, in [-1, 1], to the frames that follow."""

    image_size: int  # pixels
    channels: int
    width: int  # channels of each cell's state
    layers: int  # cells, one above the other
    given_frames: int  # after which it was trained to go on by itself
    cell: Cell = "convlstm"
    patch: int = 0  # side in pixels of what becomes one position of the maps; 0: as small as LARGEST_MAP allows
    reach: int = 1  # positions to each side that a cell looks at

    @property
    def patch_side(self) -> int:
        """The side of a patch in pixels.

        >>> [SequenceSpec(image_size=side, channels=1, width=8, layers=1, given_frames=2).patch_side
        ...  for side in (8, 28, 64, 96, 256)]
        [1, 4, 8, 16, 32]
        """
        side = self.patch or 1
        while not self.patch and side * LARGEST_MAP < self.image_size:
            side *= 2
        return side

    @property
    def map_side(self) -> int:
        """Positions a side of the maps, which cover the frame."""
        return -(-self.image_size // self.patch_side)

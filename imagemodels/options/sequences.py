"""The options of models that predict frames."""

from dataclasses import dataclass, field
from typing import get_args

from imagemodels.networks.sequence_specs import Cell
from imagemodels.optionchecks import among, within
from imagemodels.options.base import RECONSTRUCTION_NAMES, DescentOptions

SAMPLING_NAMES = ("none", "linear", "reverse")


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(DescentOptions):
    """A recurrent network that goes on with a sequence; where others count images, it counts sequences."""

    cell: Cell = field(default="convlstm", metadata=among(get_args(Cell)))
    layers: int = field(default=2, metadata=within(1, 16))
    patch: int = field(default=0, metadata=within(0, 64))  # pixels a side; 0: so that maps have 8 at most
    reach: int = field(default=1, metadata=within(1, 4))  # positions to each side that a cell looks at
    given_frames: int = field(default=10, metadata=within(1, 500))
    predicted_frames: int = field(default=10, metadata=within(1, 500))
    reconstruction: str = field(default="bce", metadata=among(RECONSTRUCTION_NAMES))
    # Whether true frames or predictions are looked at while it trains.
    sampling: str = field(default="reverse", metadata=among(SAMPLING_NAMES))
    sampling_images: int = field(default=20_000, metadata=within(0, 1_000_000_000))  # until it is as in use

    @property
    def objective(self) -> str:
        """What is minimised."""
        return self.reconstruction

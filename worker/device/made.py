"""Images with what is recorded of each, as one process makes them and another one writes them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from storage.choices import Choices
from worker.device.wire import Array

Images = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Made:
    """Images (N, H, W, C), their labels (N,), and how each was chosen."""

    images: Images
    labels: Integers | None
    choices: Choices | None = None

    @property
    def kinds(self) -> dict[str, bool]:
        """Which arrays there are beside the images."""
        return {"labelled": self.labels is not None, "chosen": self.choices is not None}

    @property
    def arrays(self) -> tuple[Array, ...]:
        """All of them: images, labels, choices column by column."""
        labels = () if self.labels is None else (self.labels,)
        chosen = self.choices
        return self.images, *labels, *(() if chosen is None else (getattr(chosen, one.name) for one in fields(Choices)))

    @classmethod
    def of(cls, arrays: Sequence[Array], *, labelled: bool, chosen: bool) -> Self:
        """Inverse of `kinds` and `arrays`."""
        images, *rest = arrays
        labels = rest.pop(0) if labelled else None
        return cls(images, labels, Choices(*rest) if chosen else None)

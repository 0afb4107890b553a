"""Why an image is the one of its number: what a table says of the images of a job that chooses among several."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Choice:
    """How one image came to be the one of its number."""

    candidate: int  # its place among those that are drawn for the number; all before it were rejected
    checkpoint: int  # its place among those that the shard's metadata list
    truncation: float  # of its latents; 1: none
    confidence: float | None  # that the filter's classifier has in its class
    accepted: bool  # False: none that was drawn was good enough, and this is the best


@dataclass(frozen=True, slots=True)
class Choices:
    """The same of consecutive images, as columns (N,)."""

    candidate: npt.NDArray[np.int64]
    checkpoint: npt.NDArray[np.int64]
    truncation: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]  # NaN where there is none
    accepted: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.candidate)

    def part(self, rows: slice) -> Self:
        """Those of some of the images."""
        return type(self)(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def choice_columns(parts: Sequence[Choices | None]) -> dict[str, Any]:
    """The columns of a table; none unless all of its images were chosen."""
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return {}
    columns = {field.name: np.concatenate([getattr(part, field.name) for part in found]) for field in fields(Choices)}
    confidence = columns["confidence"].astype(object)
    confidence[np.isnan(columns["confidence"])] = None
    return columns | {"confidence": confidence}


def choice_types() -> list[tuple[str, Any]]:
    """Names and Parquet types of the columns."""
    import pyarrow as pa

    whole, number = pa.int32(), pa.float64()
    return [
        ("candidate", whole), ("checkpoint", whole), ("truncation", number), ("confidence", number),
        ("accepted", pa.bool_()),
    ]  # fmt: skip

"""What a report shows: plain frozen values that know nothing of tables, queues or networks.

Every time must carry its time zone; every picture is the path of a PNG (or WebP) file or a uint8 array
of shape (H, W) or (H, W, 3).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from reports.errors import ReportError
from reports.gates import GateSection
from reports.history import AttemptLine, EventLine, LogTail, ProgressLine

ImageSource: TypeAlias = Path | npt.NDArray[np.uint8]
Better: TypeAlias = Literal["lower", "higher"]


@dataclass(frozen=True, kw_only=True)
class Series:
    """A named curve over the number of images seen in training.

    `values` may hold NaN and infinities, which the chart marks; `images_seen` must be finite.
    With `better` the best point is marked. Sequences of unequal length raise ReportError.
    """

    name: str
    images_seen: Sequence[float]
    values: Sequence[float]
    better: Better | None = None

    def __post_init__(self) -> None:
        if len(self.images_seen) != len(self.values):
            raise ReportError(
                f"series {self.name!r} has {len(self.images_seen)} positions but {len(self.values)} values; "
                "give one value for each position"
            )
        if not all(math.isfinite(position) for position in self.images_seen):
            raise ReportError(f"series {self.name!r} has a position that is not a finite number of images")

    def best(self) -> tuple[float, float] | None:
        """Give (images seen, value) of the best finite value, the earliest of equals, or None without one."""
        finite = [
            (x, y) for x, y in zip(self.images_seen, self.values, strict=True) if math.isfinite(y) and self.better
        ]
        if not finite:
            return None
        sign = 1 if self.better == "lower" else -1
        return min(finite, key=lambda point: sign * point[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """A grid of samples, always of the same noise or the same images, after `images_seen` training images."""

    images_seen: int
    image: ImageSource


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionedImage:
    """Any further picture with the sentence that says what it shows."""

    caption: str
    image: ImageSource


@dataclass(frozen=True, kw_only=True)
class StepTable:
    """One measure of predicted frames: a row for each way to predict, a column for each predicted step.

    A row that is longer or shorter than another raises ReportError; None stands where there is no number.
    """

    measure: str
    better: Better
    rows: Mapping[str, Sequence[float | None]]

    def __post_init__(self) -> None:
        if len({len(row) for row in self.rows.values()}) > 1:
            raise ReportError(f"the rows of {self.measure} have different numbers of steps")

    @property
    def steps(self) -> int:
        """How many frames were predicted."""
        return max((len(row) for row in self.rows.values()), default=0)


@dataclass(frozen=True, kw_only=True)
class FidelityLine:
    """How near some images are to the true ones: means of PSNR in dB, and of SSIM."""

    name: str
    psnr: float
    ssim: float


@dataclass(frozen=True, kw_only=True)
class FidelityTable:
    """How near images come to the true ones by restoration: the restored ones first, then what they were made from."""

    lines: Sequence[FidelityLine]
    note: str  # on what it was measured


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainSection:
    """What a training run has to show; a classifier, which held-out image it took for which class, too."""

    losses: Sequence[Series] = ()
    quality: Series | None = None
    grids: Sequence[Grid] = ()
    # decoded: in turn an image, and what is left of it; predicted: below each sequence what is predicted of it;
    # restored: in turn a damaged image, what is made of it, and the true one
    grids_show: Literal["generated", "decoded", "predicted", "restored"] = "generated"
    reals: ImageSource | None = None
    model: Mapping[str, object] = field(default_factory=dict)
    images_seen: int | None = None
    images_per_second: float | None = None
    per_class_accuracy: Mapping[str, float] = field(default_factory=dict)
    confusion: "Confusion | None" = None
    steps: Sequence[StepTable] = ()  # of a model that predicts frames
    steps_note: str = ""  # on what they were measured
    restoration: FidelityTable | None = None  # of a model that restores images
    drift: Mapping[str, str] = field(default_factory=dict)  # how the data differ from those of the version before
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class GenerateSection:
    """What a bulk generation has to show; `counts` is images per class in the order to be shown."""

    images: int
    images_planned: int
    shards: int
    shards_planned: int
    size_bytes: int
    images_per_second: float | None = None
    bound_by: str = ""
    contact_sheet: ImageSource | None = None
    sheet_caption: str = ""  # what its rows show; empty: a selection of the images
    animations: "Sequence[CaptionedImage]" = ()  # the first of them
    animations_made: int | None = None  # of a job that makes such
    edit: Mapping[str, object] = field(default_factory=dict)  # what was done to images
    counts: Mapping[str, int] = field(default_factory=dict)
    choice: Mapping[str, object] = field(default_factory=dict)  # by what images were chosen
    choices: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # of each class: how many, and how it went
    manifest_rows: Sequence[Mapping[str, object]] = ()
    model: Mapping[str, object] = field(default_factory=dict)
    output: str = ""
    verify_hint: str = ""
    restores: bool = False  # each image is made of a damaged one, which the contact sheet shows before it
    restoration: FidelityTable | None = None  # where the true images are known
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class MetricLine:
    """A metric with its controls, all measured with the same `n` images.

    `floor` is what held-out real images reach, `copies` what copies of the training images reach,
    `ceiling` what noise reaches, unless the page says what else they stand for; None where a control was not measured.
    """

    name: str
    value: float
    n: int
    better: Better
    floor: float | None = None
    copies: float | None = None
    ceiling: float | None = None

    @property
    def marks(self) -> Mapping[str, float | None]:
        """The controls by the marks that stand for them."""
        return {"real": self.floor, "copies": self.copies, "noise": self.ceiling}


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Counts of images: row = true class, column = predicted class.

    A table that is not square in the classes raises ReportError.
    """

    classes: Sequence[str]
    counts: Sequence[Sequence[int]]

    def __post_init__(self) -> None:
        size = len(self.classes)
        if len(self.counts) != size or any(len(row) != size for row in self.counts):
            raise ReportError(f"a confusion table of {size} classes needs {size} rows of {size} counts")


@dataclass(frozen=True, kw_only=True, eq=False)
class NeighbourRow:
    """A generated image beside its nearest training images, the nearest first."""

    generated: ImageSource
    nearest: Sequence[ImageSource]
    distances: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluateSection:
    """What an evaluation has to show.

    The accuracies (0 to 1, by class, on real test images) are those of a classifier trained on the generated images;
    `per_class_accuracy_real` are those of its twin trained on as many real ones.
    """

    metrics: Sequence[MetricLine] = ()
    per_class_accuracy: Mapping[str, float] = field(default_factory=dict)
    per_class_accuracy_real: Mapping[str, float] = field(default_factory=dict)
    confusion: Confusion | None = None
    neighbours: Sequence[NeighbourRow] = ()
    neighbour_sheet: ImageSource | None = None  # generated images, and below each the training image nearest to it
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class RateLine:
    """One way to write the same `n` images: means of file size, with headers, and of what is left of the images."""

    name: str
    bits_per_pixel: float
    psnr: float | None  # dB; None: without loss
    ssim: float
    n: int


@dataclass(frozen=True, kw_only=True, eq=False)
class CompressSection:
    """What a compression has to show; the first of the rates is that of the model."""

    rates: Sequence[RateLine]
    size_bytes: int
    dataset: str
    strips: ImageSource | None = None  # rows: the images, as decoded, as the reference of the same size has them
    strips_reference: str = ""
    files_sha256: str = ""
    model: Mapping[str, object] = field(default_factory=dict)
    next_commands: Sequence[str] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class DecompressSection:
    """What a decompression has to show; `rate` says what was lost when the files were written."""

    images: int
    verified: int  # that are as they were recorded
    differing: int  # that are not, as they were computed in another way
    size_bytes: int
    sheet: ImageSource | None = None
    manifest: str = ""
    files_sha256: str = ""
    compressed_by: int | None = None  # the job
    rates: Sequence[RateLine] = ()
    model: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class JobReport:
    """Everything that the report of one job shows; a job without a section of its kind shows its history alone."""

    job_id: int | str
    name: str
    kind: str
    state: str
    reason: str = ""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    spec: Mapping[str, object] = field(default_factory=dict)
    progress: ProgressLine | None = None  # of one that runs
    tasks: int = 1
    attempts: Sequence[AttemptLine] = ()
    events: Sequence[EventLine] = ()
    train: TrainSection | None = None
    generate: GenerateSection | None = None
    evaluate: EvaluateSection | None = None
    gate: GateSection | None = None
    compress: CompressSection | None = None
    decompress: DecompressSection | None = None
    left: Mapping[str, object] = field(default_factory=dict)  # what a job without a section has left
    log: LogTail | None = None  # of one that has not succeeded
    pictures: Sequence[CaptionedImage] = ()

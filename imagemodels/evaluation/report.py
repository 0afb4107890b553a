"""The result of an evaluation: numbers that carry what they were measured with, and their controls."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from imagemodels.errors import DataError

REPORT_VERSION = 1

Better = Literal["lower", "higher"]
ControlName = Literal[
    "held_out_real",
    "training_copies",
    "noise",
    "real_training",
    "copy_last",
    "pixel_mean",
    "png",
    "nearest_format",
    "commonest_class",
    "damaged",
]


@dataclass(frozen=True)
class Control:
    """The same metric for images of known quality, or without a model, with the number of images it was measured on.

    held_out_real    real images that no model has seen: as good as a generator can hope to be
    training_copies  the training images themselves: what a generator that only copies would get
    noise            uniform random pixels: as bad as it gets
    real_training    real training images in the place of as many generated ones
    copy_last        the last given frame of a sequence, again and again
    pixel_mean       the mean training frame, always
    png              PNG files of the same images
    nearest_format   the same images as PNG or WebP has them, in files of about the same size
    commonest_class  the class that most images have, always
    damaged          the images that restored ones were made of
    """

    name: ControlName
    value: float
    n: int


@dataclass(frozen=True)
class Metric:
    """One number. Its name ends in what it was measured with: a feature net's name, a judge, or the pixels.

    n                generated images measured
    reference_n      real images that they were compared with
    standard_error   of the value by chance alone, where it is known
    expected_bias    what a perfect generator would show at this n, where the metric is biased
    """

    name: str
    value: float
    n: int
    reference_n: int
    better: Better
    meaning: str
    controls: tuple[Control, ...] = ()
    standard_error: float | None = None
    expected_bias: float | None = None

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Metric":
        """Inverse of dataclasses.asdict.  Raises TypeError or KeyError for anything else."""
        return cls(**{**document, "controls": tuple(Control(**control) for control in document["controls"])})

    def control(self, name: str) -> float | None:
        """Return the value of a control, or None when this metric has no such control."""
        return next((control.value for control in self.controls if control.name == name), None)


@dataclass(frozen=True)
class ClassMeasure:
    """How one class fares; None where the images have no labels or the feature net knows no classes.

    generated_images     generated with this class as their label
    recognised_images    generated images that the feature net takes for this class
    agreement            share of generated_images that the feature net takes for this class
    synthetic_accuracy   on held-out images of this class, of the network trained on synthetic images
    real_accuracy        the same, trained on as many real ones
    """

    name: str
    training_images: int
    generated_images: int | None = None
    recognised_images: int | None = None
    agreement: float | None = None
    synthetic_accuracy: float | None = None
    real_accuracy: float | None = None


@dataclass(frozen=True)
class Neighbour:
    """A generated image and the training image nearest to it, both as indices, and their distance (0 to 1)."""

    generated_index: int
    dataset_index: int
    distance: float


@dataclass(frozen=True)
class EvaluationReport:
    """Everything that one evaluation found; equal inputs and seed give an equal report.

    confusion   rows: true classes of held-out images, columns: what the network trained on synthetic images said
    neighbours  the generated images closest to the training set first
    warnings    what a reader must know before trusting the numbers
    inception_sha256  of the weights by which fid-clean was measured, where it was
    """

    dataset: str
    dataset_fingerprint: str
    feature_net: str
    feature_net_digest: str
    image_size: int
    channels: int
    generated_images: int
    measured_images: int
    seed: int
    metrics: tuple[Metric, ...]
    classes: tuple[ClassMeasure, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    warnings: tuple[str, ...] = ()
    inception_sha256: str | None = None
    version: int = REPORT_VERSION

    def metric(self, name: str) -> Metric:
        """Return the metric of that name, whole (``fd@cnn-1a2b3c4d``) or without what it was measured with (``fd``).

        Raises DataError when the report has no such metric.
        """
        for metric in self.metrics:
            if name in (metric.name, metric.name.partition("@")[0]):
                return metric
        known = ", ".join(metric.name for metric in self.metrics)
        raise DataError(f"the report has no metric {name!r}; it has {known}")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return asdict(self)

    def to_json(self) -> str:
        """Return the report as strict JSON with sorted keys: equal reports are equal bytes."""
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "EvaluationReport":
        """Read what to_json wrote. Raises DataError when the text is no such report or of another version."""
        try:
            document = json.loads(text)
            if document["version"] != REPORT_VERSION:
                raise DataError(f"evaluation report of version {document['version']}; this reads {REPORT_VERSION}")
            return cls(**{**document, **_parts(document)})
        except (ValueError, KeyError, TypeError, RecursionError) as broken:
            raise DataError(f"not an evaluation report: {broken}") from broken


def _parts(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "metrics": tuple(Metric.from_dict(metric) for metric in document["metrics"]),
        "classes": tuple(ClassMeasure(**measure) for measure in document["classes"]),
        "confusion": tuple(tuple(row) for row in document["confusion"]),
        "neighbours": tuple(Neighbour(**neighbour) for neighbour in document["neighbours"]),
        "warnings": tuple(document["warnings"]),
    }


def known_or_none(value: float) -> float | None:
    """Return None for NaN, which JSON does not have."""
    return None if math.isnan(value) else float(value)

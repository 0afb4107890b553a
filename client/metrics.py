"""Metrics and their controls, the same in the tables of every command and on every page."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from imagemodels.evaluation.report import ControlName, Metric

Mark = Literal["real", "copies", "noise"]


@dataclass(frozen=True)
class ControlColumn:
    """One control: the head of its column, its mark and words on a page, and its names, of which the first counts."""

    title: str
    mark: Mark
    words: str
    names: tuple[ControlName, ...]

    def value(self, metric: Metric) -> float | None:
        """What the control reaches; None where it was not measured."""
        return next((value for name in self.names if (value := metric.control(name)) is not None), None)


# What stands beside the values of each kind of model. Where a judge is trained on generated images, its twin trained on
# real ones shows how good it can get.
GENERATED = (
    ControlColumn("REAL", "real", "held-out real images reach", ("held_out_real", "real_training")),
    ControlColumn("COPIES", "copies", "copies of the training images reach", ("training_copies",)),
    ControlColumn("NOISE", "noise", "noise reaches", ("noise",)),
)
PREDICTED = (
    ControlColumn("LAST", "copies", "the last given frame, repeated, reaches", ("copy_last",)),
    ControlColumn("MEAN", "noise", "the mean training frame reaches", ("pixel_mean",)),
)
CODED = (
    ControlColumn("PNG", "real", "PNG reaches", ("png",)),
    ControlColumn("NEAREST", "copies", "the format nearest in size reaches", ("nearest_format",)),
)
CLASSIFIED = (ControlColumn("COMMONEST", "noise", "the commonest class, always named, reaches", ("commonest_class",)),)

RESTORED = (ControlColumn("DAMAGED", "noise", "the damaged images reach", ("damaged",)),)


def controls_of(metrics: Iterable[Metric]) -> tuple[ControlColumn, ...]:
    """The controls that such metrics have."""
    present = {control.name for metric in metrics for control in metric.controls}
    chosen = (columns for columns in (PREDICTED, CODED, CLASSIFIED, RESTORED) if present & set(columns[0].names))
    return next(chosen, GENERATED)


def number(value: float | None) -> str:
    """A value as tables have it."""
    return "–" if value is None else f"{value:.4g}"

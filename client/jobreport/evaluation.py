"""From an evaluation's file to the section of a report that shows it."""

from collections.abc import Sequence

from client.comparing import read_evaluation
from client.jobreport.source import JobSource
from client.metrics import GENERATED, ControlColumn
from imagemodels.evaluation.report import ClassMeasure, EvaluationReport, Metric
from reports.data import Confusion, EvaluateSection, MetricLine


def evaluate_section(source: JobSource) -> EvaluateSection | None:
    """The section of an evaluate job; None without its file.  Raises CorruptFile."""
    judged = source.result("evaluate")
    path = source.existing(judged.get("report"))
    if path is None:
        return None
    found = read_evaluation(path)
    return EvaluateSection(
        metrics=[metric_line(metric) for metric in found.metrics],
        per_class_accuracy=_accuracies(found.classes, "synthetic_accuracy"),
        per_class_accuracy_real=_accuracies(found.classes, "real_accuracy"),
        confusion=_confusion(found),
        neighbour_sheet=source.existing(judged.get("neighbours")),
        warnings=found.warnings,
    )


def metric_line(metric: Metric, controls: Sequence[ControlColumn] = GENERATED) -> MetricLine:
    """The number of a page with its controls."""
    marks = {control.mark: control.value(metric) for control in controls}
    return MetricLine(
        name=metric.name,
        value=metric.value,
        n=metric.n,
        better=metric.better,
        floor=marks.get("real"),
        copies=marks.get("copies"),
        ceiling=marks.get("noise"),
    )


def _accuracies(classes: tuple[ClassMeasure, ...], name: str) -> dict[str, float]:
    return {measure.name: value for measure in classes if (value := getattr(measure, name)) is not None}


def _confusion(found: EvaluationReport) -> Confusion | None:
    if not found.confusion:
        return None
    return Confusion(classes=[measure.name for measure in found.classes], counts=found.confusion)

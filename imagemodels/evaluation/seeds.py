"""One evaluation for each of several seeds, taken together. Free of torch."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from imagemodels.evaluation.report import ClassMeasure, EvaluationReport, Metric


def mean_metrics(reports: Sequence[EvaluationReport]) -> tuple[Metric, ...]:
    """Return the metrics of evaluations that differ by their seed alone, as means with their standard errors.

    n stays that of one evaluation, since what is biased depends on it.
    """
    return tuple(_mean([report.metric(metric.name) for report in reports]) for metric in reports[0].metrics)


def _mean(metrics: Sequence[Metric]) -> Metric:
    values = [metric.value for metric in metrics]
    first = metrics[0]
    controls = tuple(
        replace(control, value=statistics.fmean(metric.controls[number].value for metric in metrics))
        for number, control in enumerate(first.controls)
    )
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else first.standard_error
    return replace(first, value=statistics.fmean(values), controls=controls, standard_error=error or None)


def least_shown(classes: Sequence[ClassMeasure]) -> tuple[str, float] | None:
    """Return the class that fewest images show, by how many should, and that share; None where it is not known."""
    shares = {
        measure.name: measure.recognised_images / measure.generated_images
        for measure in classes
        if measure.recognised_images is not None and measure.generated_images
    }
    return min(shares.items(), key=lambda pair: pair[1]) if shares else None


def least_agreed(classes: Sequence[ClassMeasure]) -> tuple[str, float] | None:
    """Return the class whose images show it least often, and how often; None where it is not known."""
    shares = {measure.name: measure.agreement for measure in classes if measure.agreement is not None}
    return min(shares.items(), key=lambda pair: pair[1]) if shares else None

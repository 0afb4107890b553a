"""From what jobs have measured of the versions of a model to a chart for each measure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from client.metrics import controls_of
from client.modelreport.line import ModelLine
from imagemodels.evaluation.report import Metric
from imagemodels.traits import HIGHER_IS_BETTER
from reports.data import Better, Series
from reports.levels import Level, gate_levels, gate_words
from reports.modelline import MeasureLine

if TYPE_CHECKING:
    from db.tables.models import ModelVersion

MOST_SERIES = 6  # of one chart: those of the newest versions

Values = dict[str, dict[int, float]]  # series → version → value


def measure_lines(line: ModelLine) -> list[MeasureLine]:
    """A chart for each measure: those that the last gate asks for first, and what training measured before others."""
    limits = next((one.spec.get("gates") or {} for one in reversed(line.verdicts)), {})
    values: dict[str, Values] = {}
    for version in reversed(line.versions):
        _add_own(values, version)
    own, measured = set(values), list(_measured(line))
    for number, metric in measured:
        series = values.setdefault(_measure(metric), {}).setdefault(f"{metric.name}, n = {metric.n:,}", {})
        series[number] = metric.value
    # Of the newest version the last, since equal numbers keep their order.
    newest = {_measure(metric): metric for _number, metric in sorted(measured, key=lambda pair: pair[0])}
    order = sorted(values, key=lambda measure: (measure not in limits, measure not in own))
    return [_measure_line(measure, values[measure], newest.get(measure), limits.get(measure)) for measure in order]


def _measure(metric: Metric) -> str:
    """What it measures, whatever it was measured with."""
    return metric.name.partition("@")[0]


def _measured(line: ModelLine) -> Iterator[tuple[int, Metric]]:
    """Version and metric, in order of time: the last figure counts."""
    from client.comparing import stored_metrics

    for one in line.measured:
        for metric in stored_metrics(one.metrics):
            yield one.version, metric


def _add_own(values: dict[str, Values], version: "ModelVersion") -> None:
    """What its own training measured."""
    if version.metric_name is not None and version.metric_value is not None:
        measure = version.metric_name.partition("@")[0]
        series = values.setdefault(measure, {}).setdefault(f"{version.metric_name}, in training", {})
        series[version.version] = version.metric_value


def _measure_line(measure: str, values: Values, newest: Metric | None, limit: Mapping[str, Any] | None) -> MeasureLine:
    better = newest.better if newest else _better(measure)
    return MeasureLine(
        measure=measure,
        better=better,
        series=_series(values),
        levels=[*gate_levels(limit), *_controls(newest)],
        is_asked=bool(limit),
        asked=gate_words(limit),
    )


def _better(measure: str) -> Better:
    return "higher" if measure in HIGHER_IS_BETTER else "lower"


def _series(values: Values) -> Sequence[Series]:
    newest = sorted(values.items(), key=lambda pair: (max(pair[1]), len(pair[1])), reverse=True)[:MOST_SERIES]
    return [
        Series(name=name, images_seen=sorted(own), values=[own[version] for version in sorted(own)])
        for name, own in newest
    ]


def _controls(metric: Metric | None) -> Iterator[Level]:
    """What the first of its controls reached beside the newest figure: real images, of most measures."""
    if metric is None:
        return
    control = controls_of([metric])[0]
    value = control.value(metric)
    if value is not None:
        yield Level(name=control.words.removesuffix("es").removesuffix(" reach"), value=value)

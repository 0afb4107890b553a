"""The versions of the models that a run is about, by what its gates look at first."""

from collections.abc import Iterator, Mapping
from typing import Any

from pixmill.gates.measures import DEFAULT_PRIMARY, MEASURES
from pixmill.pipelines import GATE
from pixmill.runfacts import LineFacts, Measured, RunFacts
from reports.data import Series
from reports.levels import Level, gate_levels
from reports.night import LinePart

MOST_NETS = 6  # of which a chart has a line for each


def line_parts(facts: RunFacts) -> list[LinePart]:
    """A chart for each model that a gate of the run judges; or a sentence."""
    judged = dict(_judged(facts))
    is_asked = bool(facts.of_kind(GATE))
    return [_line_part(line, judged.get(line.name, {})) for line in facts.lines if is_asked]


def _judged(facts: RunFacts) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Model → the spec and the result of its gate."""
    for step in facts.of_kind(GATE):
        if step.job is not None:
            name = str(step.job.spec["model"]).partition("@")[0]
            yield name, {"spec": step.job.spec, **step.job.result}


def _line_part(line: LineFacts, judged: Mapping[str, Any]) -> LinePart:
    spec = judged.get("spec", {})
    measure = str(spec.get("primary") or DEFAULT_PRIMARY)
    better = MEASURES[measure].better if measure in MEASURES else "lower"
    points = [point for point in line.measured if point.metric.partition("@")[0] == measure]
    return LinePart(
        name=line.name,
        measure=measure,
        better=better,
        series=_series(points),
        levels=list(_levels(judged, measure, better)),
        missing="" if points else f"No gate has measured {measure} of a version of {line.name} yet.",
    )


def _series(points: list[Measured]) -> list[Series]:
    """One for each feature net; those of the newest versions, where there are many."""
    by_net: dict[str, list[Measured]] = {}
    for point in points:
        by_net.setdefault(point.metric, []).append(point)
    newest = sorted(by_net.items(), key=lambda pair: max(point.version for point in pair[1]))[-MOST_NETS:]
    return [
        Series(name=metric, images_seen=[point.version for point in own], values=[point.value for point in own])
        for metric, own in newest
    ]


def _levels(judged: Mapping[str, Any], measure: str, better: str) -> Iterator[Level]:
    """What the gate holds the measure against: its own limit, and how much worse than the champion it may be."""
    limits = (judged.get("spec", {}).get("gates") or {}).get(measure) or {}
    yield from gate_levels(limits)
    champion = (judged.get("primary") or {}).get("champion")
    if champion and limits.get("worse_by") is not None:
        sign = 1 if better == "lower" else -1
        yield Level(name="gate: worst beside the champion", value=champion["mean"] + sign * limits["worse_by"])

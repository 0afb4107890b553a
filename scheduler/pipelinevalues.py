"""What the references of a pipeline stand for, in a run and before it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import NoneType
from typing import Any

from db.pipelines import RunView, references_of
from db.tables.pipelines import PipelineRun
from db.types import CORRUPT_HINT
from pixmill.errors import CorruptRow, PixmillError
from pixmill.pipelines import CHAMPION, PARAMS, RUN, PipelineSpec
from pixmill.references import Reference, Value, substituted
from pixmill.specs import JobOptions, Spec, parse_options, parse_spec, split_document

# What a step will leave, before anybody knows it: values of the type that it will have.
STAND_INS: Mapping[str, Value] = {
    "job": 1,
    "state": "succeeded",
    "verdict": "PROMOTE",
    "model": "model@1",
    "version": 1,
    "against": "model@1",
    "promoted": True,
    "reason": "none",
}


class MissingValue(PixmillError):
    """A step that is over has left no such value."""

    def __init__(self, reference: Reference) -> None:
        super().__init__(f"{reference}: step {reference.place} has left no {reference.field}")
        self.step = reference.place


@dataclass(frozen=True)
class Values:
    """The values at one moment, by place and field."""

    places: Mapping[str, Mapping[str, Any]]

    def __call__(self, reference: Reference) -> Value | None:
        """What a reference stands for; None: for no champion.  Raises MissingValue."""
        found: Value | None = self.places[reference.place].get(reference.field)
        if found is None and reference.place != CHAMPION:
            raise MissingValue(reference)
        return found


def expected_values(
    spec: PipelineSpec, params: Mapping[str, Any], facts: Mapping[str, Any], champions: Mapping[str, int]
) -> Values:
    """What is known before a run, and stand-ins for the rest."""
    run = {"id": 1, "name": spec.name, **facts}
    known = {PARAMS: params, RUN: run, CHAMPION: references_of(champions)}
    return Values({**known, **dict.fromkeys(spec.steps, STAND_INS)})


def require_facts(run: PipelineRun) -> None:
    """Raise CorruptRow unless the facts of a stored run are such as it has begun with."""
    facts, champions = run.facts, run.facts.get("champions")
    texts = [facts.get(name) for name in ("scheduled_for", "date")]
    named = {str, NoneType}
    is_sound = all(isinstance(text, str) for text in texts) and type(facts.get("schedule")) in named
    if not is_sound or not isinstance(champions, dict) or not all(type(each) is int for each in champions.values()):
        raise CorruptRow(f"the facts of pipeline run {run.id} are of another form", hint=CORRUPT_HINT)


def values_of(view: RunView) -> Values:
    """What is known in a run; a step that is not over has left nothing."""
    run = {"id": view.run.id, "name": view.run.name, **view.run.facts}
    left = {line.step.name: {**line.step.values, "state": line.step.state.value} for line in view.lines}
    known = {PARAMS: view.run.params, RUN: run, CHAMPION: references_of(view.run.facts["champions"])}
    return Values({**known, **left})


def facts_of(logical: datetime) -> dict[str, str]:
    """The time of a run, by the clocks of its schedule, as references have it."""
    return {"scheduled_for": logical.isoformat(timespec="seconds"), "date": f"{logical:%Y-%m-%d}"}


def request_of(body: Mapping[str, Any], values: Values) -> tuple[Spec, JobOptions]:
    """What the job of a step is asked for.  Raises SpecError or MissingValue."""
    spec_values, option_values = split_document(substituted(body, values))
    return parse_spec(spec_values), parse_options(option_values)

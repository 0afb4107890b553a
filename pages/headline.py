"""A run of a pipeline in a sentence or two, its figures, and its time."""

from collections.abc import Mapping
from typing import Any

from pixmill.pipelines import GATE, PROMOTE
from pixmill.runfacts import LineFacts, RunFacts
from pixmill.states import PipelineState, StepState
from reports.numbers import duration_text, number_text
from reports.summary import KeyFigure

LATE_SECONDS = 300.0  # beyond its jitter: what begins so long after its time was caught up


def verdict(facts: RunFacts) -> str:
    """What became of the run, and of the champions."""
    said = [_outcome(facts)]
    if facts.state is not PipelineState.RUNNING:
        said += [_champion(facts, line) for line in facts.lines]
    return " ".join(f"{text.rstrip('.')}." for text in said if text)


def _outcome(facts: RunFacts) -> str:
    match facts.state:
        case PipelineState.RUNNING:
            return _going(facts)
        case PipelineState.FAILED:
            return f"It failed at {facts.message}"
        case PipelineState.CANCELLED:
            return f"It was cancelled{f': {facts.message}' if facts.message else ''}"
        case PipelineState.SKIPPED:
            return f"Nothing was to be done: {facts.message}"
    return _judgement(facts) or f"All is done: {_tally(facts)}"


def _going(facts: RunFacts) -> str:
    going = [step for step in facts.own_steps if step.state is StepState.SUBMITTED]
    if not going:
        return "It has begun, and no step of it runs yet"
    told = ", ".join(f"step {step.name} (job {step.job.id if step.job else '–'})" for step in going)
    return f"It still runs: {told}; {_tally(facts)}"


def _tally(facts: RunFacts) -> str:
    steps = facts.own_steps
    done = sum(step.state is StepState.SUCCEEDED for step in steps)
    skipped = sum(step.state is StepState.SKIPPED for step in steps)
    return f"{done} of {len(steps)} steps have succeeded" + (f", {skipped} were skipped" if skipped else "")


def _judgement(facts: RunFacts) -> str:
    """What gates have said, and what promotions have made of it; empty for a pipeline that judges nothing."""
    promotions = [step.values for step in facts.of_kind(PROMOTE) if "promoted" in step.values]
    if promotions:
        return ". ".join(_promotion(facts, values) for values in promotions)
    verdicts = [step.values for step in facts.of_kind(GATE) if "verdict" in step.values]
    return ". ".join(f"{values['verdict']} {values['model']}: that is the verdict" for values in verdicts)


def _promotion(facts: RunFacts, values: Mapping[str, Any]) -> str:
    model = values["model"]
    if values["promoted"]:
        return f"PROMOTED {model}"
    judged = [step.values for step in facts.of_kind(GATE) if step.values.get("model") == model]
    found = judged[0].get("verdict") if judged else None
    if found is None or found == "PROMOTE":
        return f"{model} was not promoted: {values['reason']}"
    return f"{found} {model}: it was not promoted"


def _champion(facts: RunFacts, line: LineFacts) -> str:
    promoted = promoted_by(facts, line.name)
    before = line.before.reference if line.before else None
    if promoted is not None:
        said = f"{promoted} is champion" + (f", {before} was" if before else f", the first of {line.name}")
    elif before is not None:
        said = f"The champion {before} stays"
    else:
        said = f"{line.name} has no champion yet"
    meant = promoted or before
    now = None if line.now is None else f"{line.name}@{line.now}"
    return said if now == meant else f"{said}; since then it has become {now or 'none'}"


def promoted_by(facts: RunFacts, name: str) -> str | None:
    """The version of this model that the run has made champion."""
    for step in facts.of_kind(PROMOTE):
        model = str(step.values.get("model", ""))
        if step.values.get("promoted") and model.partition("@")[0] == name:
            return model
    return None


def figures(facts: RunFacts) -> list[KeyFigure]:
    """The numbers of the first screen."""
    found = [figure for step in facts.of_kind(GATE) if step.job for figure in _gate_figures(step.job.result)]
    for line in facts.lines:
        before = line.before.reference if line.before else None
        champion = promoted_by(facts, line.name) or before
        note = "" if champion is None else "as before" if champion == before else f"{before or 'none'} before"
        found.append(KeyFigure(label=f"champion of {line.name}", value=champion or "none", note=note))
    end = facts.finished_at or facts.told_at
    seconds = max(0.0, (end - facts.begun_at).total_seconds())
    note = "" if facts.finished_at else "so far"
    return [*found, KeyFigure(label="took", value=duration_text(seconds), note=note), _step_figure(facts)]


def _gate_figures(result: Mapping[str, Any]) -> list[KeyFigure]:
    primary = result.get("primary")
    if not primary:
        return []
    found = [KeyFigure(label="verdict", value=result["verdict"], note=result["model"])]
    if primary.get("challenger"):
        champion = primary.get("champion")
        note = f"{number_text(champion['mean'])} of {result['against']}" if champion else "no champion beside it"
        found.append(KeyFigure(label=primary["gate"], value=number_text(primary["challenger"]["mean"]), note=note))
    return found


def _step_figure(facts: RunFacts) -> KeyFigure:
    states = [step.state for step in facts.own_steps]
    others = {state: states.count(state) for state in states if state is not StepState.SUCCEEDED}
    note = ", ".join(f"{number} {state.value}" for state, number in others.items())
    done = states.count(StepState.SUCCEEDED)
    return KeyFigure(label="steps that succeeded", value=f"{done} of {len(states)}", note=note)


def timing(facts: RunFacts) -> str:
    """Why it ran when it did."""
    schedule = facts.schedule
    if schedule is None:
        return f"begun by {facts.user}"
    if schedule.by_hand is not None:
        return f"asked of schedule {schedule.name} by {schedule.by_hand}"
    late = (facts.begun_at - facts.scheduled_for).total_seconds()
    if late <= LATE_SECONDS + schedule.jitter_seconds:
        return f"by schedule {schedule.name}, in time"
    return f"by schedule {schedule.name}, caught up {duration_text(late)} after its time"


def following(facts: RunFacts) -> str:
    """When it runs next."""
    schedule = facts.schedule
    if schedule is None:
        return "No schedule has asked for this run; it comes again when somebody begins it."
    if schedule.paused:
        return f"Schedule {schedule.name} is paused: nothing comes next."
    if schedule.next_for is None:
        return f"Schedule {schedule.name} has no further time."
    return f"Schedule {schedule.name} runs next at {schedule.next_for}."

"""From the job of a step to the part of a run's page that shows what came of it."""

from collections.abc import Sequence
from typing import Any

from imagemodels.errors import DataError
from pages.driftfacts import drift_fields, read_drift
from pages.files import Files
from pages.gatesection import gate_section
from pages.trainhistory import TrainHistory, read_history
from pixmill.errors import PixmillError
from pixmill.runfacts import JobFacts, LineFacts, RunFacts, StepFacts
from pixmill.states import State, StepState
from reports.levels import Level
from reports.night import DataPart, GatePart, TrainPart
from reports.numbers import size_text

_NO_HISTORY = TrainHistory(
    losses=(), quality=None, grids=(), reals=None, images_seen=None, images_per_second=None, warnings=()
)


def missing_words(step: StepFacts, what: str) -> str:
    """Why there is nothing to show of a step; `what` would be there: "verdict"."""
    reason = f" ({step.reason})" if step.reason else ""  # the whole message stands beside the step
    match step.state:
        case StepState.WAITING:
            return f"Step {step.name} has not begun: there is no {what} yet."
        case StepState.SUBMITTED:
            doing = step.job.state.value if step.job else "submitted"
            return f"Step {step.name} is {doing}: there is no {what} yet."
        case StepState.FAILED:
            return f"Step {step.name} failed{reason}, and has left no {what}."
        case StepState.SKIPPED | StepState.CANCELLED:
            return f"Step {step.name} was {step.state.value}{reason}, and has left no {what}."
    return f"Step {step.name} has left no {what}."


def gate_part(step: StepFacts, files: Files) -> GatePart:
    """The verdict of a gate."""
    section = gate_section(step.job.result, files.find) if step.job else None
    missing = "" if section else missing_words(step, "verdict")
    return GatePart(step=step.name, job=job_id(step), section=section, missing=missing)


def job_id(step: StepFacts) -> int | None:
    """Its job, if it has one."""
    return step.job.id if step.job else None


def train_part(facts: RunFacts, step: StepFacts, files: Files) -> TrainPart:
    """Curves and data of a training."""
    job = step.job
    if job is None:
        words = missing_words(step, "curve")
        return TrainPart(step=step.name, missing=words, drift_missing=missing_words(step, "comparison of data"))
    history, drift, warnings = _read(job, files)
    quality, levels = history.quality, _champion_levels(facts, job)
    shown = [level for name, level in levels if quality is not None and name == quality.name]
    drawn = bool(history.losses or quality)
    return TrainPart(
        step=step.name,
        job=job.id,
        missing="" if drawn else missing_words(step, "curve"),
        warnings=[*warnings, *history.warnings],
        losses=history.losses,
        quality=quality,
        quality_missing=_quality_words(facts, job, history, has_level=bool(shown)),
        levels=shown,
        drift=drift_fields(drift) if drift else {},
        drift_missing=_no_drift(step, job),
        counts=job.made.histogram if job.made else {},
        counts_before=job.compared.histogram if job.made and job.compared else {},
        against=job.compared.reference if job.compared else "",
    )


def _read(job: JobFacts, files: Files) -> tuple[TrainHistory, dict[str, Any], list[str]]:
    """What the files of a train job tell; what cannot be read is a warning, since the rest is worth a page."""
    warnings: list[str] = []
    history, drift = _NO_HISTORY, dict[str, Any](job.result.get("drift") or {})
    try:
        history = read_history(files.folders(job.folders), job.made.metric_name if job.made else None)
        drift = drift or read_drift(files.folders(job.folders))
    except (PixmillError, DataError) as error:
        warnings.append(str(error))
    return history, drift, warnings


def _champion_levels(facts: RunFacts, job: JobFacts) -> list[tuple[str, Level]]:
    """What the champion of the model was measured by at its own training, with the name of the metric."""
    champion = _champion(facts, job)
    if champion is None or champion.before is None or champion.before.metric_value is None:
        return []
    before = champion.before
    assert before.metric_value is not None
    return [(str(before.metric_name), Level(name=f"champion {before.reference}", value=before.metric_value))]


def _champion(facts: RunFacts, job: JobFacts) -> LineFacts | None:
    return next((line for line in facts.lines if line.name == job.name), None)


def _quality_words(facts: RunFacts, job: JobFacts, history: TrainHistory, *, has_level: bool) -> str:
    if history.quality is None:
        return "No quality was measured during training."
    line = _champion(facts, job)
    if has_level:
        return ""
    if line is None or line.before is None:
        return "There was no champion to compare with."
    metric = line.before.metric_name
    told = f"was measured by {metric}, which does not compare" if metric else "was not measured"
    return f"The champion {line.before.reference} {told}."


def _no_drift(step: StepFacts, job: JobFacts) -> str:
    if job.state is State.SUCCEEDED or job.folders:
        return "There were no data before to compare with." if not job.compared else "No comparison is recorded."
    return missing_words(step, "comparison of data")


def data_part(step: StepFacts, files: Files) -> DataPart:
    """The data set that a step has made."""
    job = step.job
    result = job.result if job else {}
    if job is None or "output" not in result:
        return DataPart(step=step.name, job=job_id(step), missing=missing_words(step, "data set"))
    sheet, counts = files.find(result.get("contact_sheet")), result.get("class_counts") or {}
    return DataPart(
        step=step.name,
        job=job.id,
        warnings=result.get("warnings") or (),
        facts={
            "name": job.name,
            "images": result.get("images"),
            "shards": result.get("shards"),
            "size": size_text(result["bytes"]) if "bytes" in result else None,
            "model": result.get("model") or job.spec.get("model"),
            "manifest": files.place(result["index"]) if "index" in result else files.place(result["output"]),
            "verify": f"pixmill output verify {job.id}",
        },
        counts=counts,
        counts_missing="" if counts else "Its images have no classes.",
        sheet=sheet,
        sheet_missing="" if sheet else "Its contact sheet is not on this host.",
    )


def absent_words(facts: RunFacts, kinds: Sequence[tuple[str, Sequence[str]]]) -> str:
    """What the pipeline has no step for; `kinds` are words, each with the kinds of steps that they stand for."""
    missing = [words for words, of in kinds if not facts.of_kind(*of)]
    if not missing:
        return ""
    told = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} or {missing[-1]}"
    return f"No step of this pipeline {told}."

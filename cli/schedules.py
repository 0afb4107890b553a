"""Schedules and their runs as table rows and as JSON, and what is wrong with them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.formatting import age, duration, plural, spec_fields
from cli.joboptions import scalar
from cli.output import Column
from pixmill.errors import SpecError
from pixmill.pipelines import PipelineState, given_params, is_pipeline, parse_pipeline
from pixmill.schedules import RunOutcome, SkipReason
from pixmill.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from db.schedules import RunLine, ScheduleLine
    from db.tables import Schedule
    from scheduler.schedules import Due

COLUMNS = [
    Column(title="NAME", shrinks=True, least=8),
    Column(title="CRON"),
    Column(title="ZONE", shrinks=True, least=6, dropped=3),
    Column(title="STATE"),
    Column(title="NEXT"),
    Column(title="LAST", align="right", dropped=2),
    Column(title="RESULT"),
    Column(title="JOB", align="right", dropped=1),
    Column(title="REASON", shrinks=True, least=12),
]
RUN_COLUMNS = [
    Column(title="SCHEDULED FOR"),
    Column(title="DECIDED", dropped=2),
    Column(title="RESULT"),
    Column(title="JOB", align="right"),
    Column(title="BY", shrinks=True, dropped=1),
    Column(title="REASON", shrinks=True, least=16),
]
NEXT_COLUMNS = [
    Column(title="SCHEDULED FOR"),
    Column(title="IN", align="right"),
    Column(title="BEGINS", dropped=1),
    Column(title="SCHEDULE", shrinks=True, least=8),
    Column(title="NOTE", shrinks=True),
]


def local_text(schedule: "Schedule", moment: datetime | None) -> str:
    """A moment by the clocks of the schedule's zone, with their offset from UTC."""
    from scheduler.schedules import cron_of

    if moment is None:
        return "–"
    local = cron_of(schedule).local(moment)
    return local.isoformat(" ", "minutes" if local.second == 0 else "seconds")


def result_of(line: "RunLine") -> str:
    """What became of a run: the state of its job or pipeline, or why there is none."""
    if line.pipeline is not None:
        return line.pipeline.state.value
    if line.run.outcome is RunOutcome.SUBMITTED:
        return line.job_state.value if line.job_state else "gone"
    return line.run.outcome.value


def unit_of(line: "RunLine") -> str:
    """The job, or the pipeline's run."""
    if line.pipeline is not None:
        return f"run {line.pipeline.id}"
    return "–" if line.run.job_id is None else str(line.run.job_id)


def reason_of(line: "RunLine") -> str:
    """Why there is no job, or how its pipeline came to end so."""
    if line.pipeline is not None:
        return line.pipeline.message or ""
    return ": ".join(part for part in (line.run.reason, line.run.message) if part)


def trouble(line: "ScheduleLine") -> str | None:
    """What somebody should look at: the last run had to be refused, came too late, or failed."""
    last = line.last
    if last is None or line.schedule.paused:
        return None
    if last.run.outcome is RunOutcome.REFUSED or last.run.reason == SkipReason.TOO_LATE:
        return f"{line.schedule.name} was {last.run.outcome.value} at {when(line)}: {reason_of(last)}"
    if last.job_state is State.FAILED:
        return f"{line.schedule.name} failed at {when(line)}: job {last.run.job_id}"
    if last.pipeline is not None and last.pipeline.state is PipelineState.FAILED:
        return f"{line.schedule.name} failed at {when(line)}: pipeline run {last.pipeline.id}: {last.pipeline.message}"
    return None


def when(line: "ScheduleLine") -> str:
    """The time of the last run, by the clocks of its zone."""
    assert line.last is not None
    return local_text(line.schedule, line.last.run.scheduled_for)


def overview(lines: "Sequence[ScheduleLine]", at: datetime) -> str:
    """How many there are, and which comes next."""
    paused = sum(line.schedule.paused for line in lines)
    words = [plural(len(lines), "schedule") + (f", {paused} paused" if paused else "")]
    coming = [
        (line.schedule.next_run_at, line.schedule.name)
        for line in lines
        if line.schedule.next_run_at is not None and not line.schedule.paused
    ]
    if coming:
        begins, name = min(coming)
        words.append(f"next: {name} {_until(begins, at)}")
    return "; ".join(words)


def _until(moment: datetime, at: datetime) -> str:
    seconds = (moment - at).total_seconds()
    return f"in {duration(seconds)}" if seconds >= 0 else f"{duration(-seconds)} overdue"


def schedule_row(line: "ScheduleLine", at: datetime) -> list[str]:
    """The cells of COLUMNS."""
    schedule, last = line.schedule, line.last
    return [
        schedule.name,
        schedule.cron,
        schedule.zone,
        "paused" if schedule.paused else "active",
        local_text(schedule, schedule.next_for),
        age(last.run.scheduled_for, at) if last else "–",
        result_of(last) if last else "–",
        unit_of(last) if last else "–",
        (schedule.paused_reason or "") if schedule.paused else reason_of(last) if last else "",
    ]


def schedule_json(line: "ScheduleLine") -> dict[str, Any]:
    """The schedule as JSON, with its last run."""
    schedule = line.schedule
    names = ["name", "cron", "zone", "paused", "paused_reason", "deadline_seconds", "jitter_seconds", "blackouts"]
    names += ["next_for", "next_run_at", "added_at", "document"]
    return {
        **{name: getattr(schedule, name) for name in names},
        "overlap": schedule.overlap.value,
        "catchup": schedule.catchup.value,
        "user": schedule.user_name,
        "last_run": run_json(schedule, line.last) if line.last else None,
    }


def run_row(schedule: "Schedule", line: "RunLine") -> list[str]:
    """The cells of RUN_COLUMNS."""
    run = line.run
    return [
        local_text(schedule, run.scheduled_for),
        local_text(schedule, run.decided_at),
        result_of(line),
        unit_of(line),
        run.by_hand or "the plan",
        reason_of(line),
    ]


def run_json(schedule: "Schedule", line: "RunLine") -> dict[str, Any]:
    """A run as JSON."""
    names = ("scheduled_for", "decided_at", "by_hand", "job_id", "reason", "message")
    return {
        **{name: getattr(line.run, name) for name in names},
        "local": local_text(schedule, line.run.scheduled_for),
        "outcome": line.run.outcome.value,
        "job_state": line.job_state.value if line.job_state else None,
        "pipeline_run_id": line.pipeline.id if line.pipeline else None,
        "pipeline_state": line.pipeline.state.value if line.pipeline else None,
    }


def note_of(schedule: "Schedule", due: "Due") -> str:
    """Why a time to come will be skipped, as far as that is known."""
    from scheduler.schedules import blackout_at

    if schedule.paused:
        return f"paused: {schedule.paused_reason}" if schedule.paused_reason else "paused"
    window = blackout_at(schedule, due.begins)
    return f"skipped: within {window}" if window else ""


def due_row(schedule: "Schedule", due: "Due", at: datetime) -> list[str]:
    """The cells of NEXT_COLUMNS."""
    return [
        local_text(schedule, due.logical),
        _until(due.begins, at).removeprefix("in "),
        local_text(schedule, due.begins),
        schedule.name,
        note_of(schedule, due),
    ]


def due_json(schedule: "Schedule", due: "Due") -> dict[str, Any]:
    """A time to come as JSON."""
    return {
        "schedule": schedule.name,
        "scheduled_for": due.logical,
        "local": local_text(schedule, due.logical),
        "begins_at": due.begins,
        "note": note_of(schedule, due) or None,
    }


def get_line(session: "Session", name: str) -> "ScheduleLine":
    """The schedule of that name with its last run.  Raises NotFound."""
    from db.schedules import get_schedule, schedule_lines

    get_schedule(session, name)
    (line,) = schedule_lines(session, [name])
    return line


def schedule_fields(schedule: "Schedule") -> dict[str, str]:
    """The terms of a schedule, and when it runs next."""
    fields = {
        "state": "paused" if schedule.paused else "active",
        "reason": schedule.paused_reason or "",
        "cron": f"{schedule.cron}, {schedule.zone}",
        "next": local_text(schedule, schedule.next_for),
        "overlap": schedule.overlap.value,
        "catchup": f"{schedule.catchup.value}, at most {duration(schedule.deadline_seconds)} late",
        "jitter": duration(schedule.jitter_seconds) if schedule.jitter_seconds else "",
        "blackout": "; ".join(schedule.blackouts),
        "added": f"{local_text(schedule, schedule.added_at.replace(microsecond=0))} by {schedule.user_name}",
    }
    return {name: value for name, value in fields.items() if value}


def file_document(document: dict[str, Any]) -> dict[str, Any]:
    """What a schedule submits, as a file has it."""
    from cli.documents import spec_document

    return parse_pipeline(document).document() if is_pipeline(document) else spec_document(document, {})


def document_fields(document: dict[str, Any]) -> dict[str, str]:
    """What a schedule submits, in some lines."""
    if not is_pipeline(document):
        return spec_fields(document)
    from cli.pipelines import plan_fields

    return plan_fields(parse_pipeline(document))


def coming_times(schedules: "Sequence[Schedule]", count: int) -> "list[tuple[Schedule, Due]]":
    """The next `count` times of these schedules, in order."""
    from scheduler.schedules import upcoming

    found = [(schedule, due) for schedule in schedules for due in upcoming(schedule, count)]
    return sorted(found, key=lambda pair: (pair[1].begins, pair[0].name))[:count]


def read_document(source: str, flags: dict[str, Any]) -> dict[str, Any]:
    """What the schedule submits, from a file and the flags over it.  Raises SpecError or UserError."""
    from cli.documents import merge, parse_document, read_documents
    from cli.pipelinefiles import naming
    from scheduler.scheduled import dated
    from scheduler.timetable import document_of

    documents = read_documents(source)
    if len(documents) > 1:
        raise SpecError(f"{source} holds {len(documents)} jobs; a schedule submits one", hint="add a schedule for each")
    if is_pipeline(documents[0]):
        with naming(source):
            return _pipeline_document(documents[0], flags)
    flags["options"] = {key: scalar(value) for key, value in flags["options"]}
    flags["labels"] = dict(flags["labels"])
    merged = merge(documents[0], {"name": flags.pop("job_name"), **flags})
    spec, options = parse_document(dated(merged, datetime.now(UTC)))
    return document_of(spec, options, merged.get("name"))


def _pipeline_document(document: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """The pipeline with the parameters that --set gives it; other flags are for jobs."""
    from cli.pipelinefiles import pipeline_of, read_params

    spec = pipeline_of(document)
    for name, value in flags.items():
        if name != "options" and value not in (None, ()):
            option = {"job_name": "name", "labels": "label"}.get(name, name.replace("_seconds", "").replace("_", "-"))
            raise SpecError(f"--{option} is for a job, and {spec.name} is a pipeline", hint="write it into its steps")
    params = given_params(spec, read_params(spec, flags["options"]))
    return spec.model_copy(update={"params": params}).stored()

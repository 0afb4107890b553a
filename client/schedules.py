"""Schedules and their runs: what became of them, what comes next, what is wrong, and all of it as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from client.moments import ago, is_in_utc, stamp
from client.wording import duration, plural
from pixmill.schedules import RunOutcome, SkipReason
from pixmill.states import PipelineState, State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.schedules import RunLine, ScheduleLine
    from db.tables.schedules import Schedule
    from scheduler.schedules import Due


@dataclass(frozen=True, kw_only=True)
class ScheduleNow:
    """A schedule as it stands, and what became of its last run."""

    name: str
    cron: str
    zone: str  # IANA name
    paused: bool
    paused_reason: str | None
    deadline_seconds: float  # a run that would begin later is given up
    jitter_seconds: float
    blackouts: Sequence[str]  # windows in which nothing starts
    next_for: datetime | None  # the next time by the plan, …
    next_run_at: datetime | None  # … and with jitter
    added_at: datetime
    document: Mapping[str, Any]  # what it submits
    overlap: str
    catchup: str
    user: str
    last_run: Mapping[str, Any] | None

    @classmethod
    def of(cls, line: "ScheduleLine") -> "ScheduleNow":
        """The schedule as the database has it."""
        row = line.schedule
        same = ["name", "cron", "zone", "paused", "paused_reason", "deadline_seconds", "jitter_seconds", "blackouts"]
        same += ["next_for", "next_run_at", "added_at", "document"]
        return cls(
            **{name: getattr(row, name) for name in same},
            overlap=row.overlap.value,
            catchup=row.catchup.value,
            user=row.user_name,
            last_run=run_json(row, line.last) if line.last else None,
        )


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
        words.append(f"next: {name} {until(begins, at)}")
    return "; ".join(words)


def until(moment: datetime, at: datetime) -> str:
    """How far a moment is away, or gone."""
    seconds = (moment - at).total_seconds()
    return f"in {duration(seconds)}" if seconds >= 0 else f"{duration(-seconds)} overdue"


def schedule_json(line: "ScheduleLine") -> dict[str, Any]:
    """The schedule as JSON, with its last run."""
    return asdict(ScheduleNow.of(line))


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


def coming_times(schedules: "Sequence[Schedule]", count: int) -> "list[tuple[Schedule, Due]]":
    """The next `count` times of these schedules, in order."""
    from scheduler.schedules import upcoming

    found = [(schedule, due) for schedule in schedules for due in upcoming(schedule, count)]
    return sorted(found, key=lambda pair: (pair[1].begins, pair[0].name))[:count]


def _shown(schedule: "Schedule", moment: datetime | None) -> str:
    """`local_text`, or the moment in UTC if that was chosen."""
    return stamp(moment) if is_in_utc() else local_text(schedule, moment)


def schedule_row(line: "ScheduleLine", at: datetime) -> list[str]:
    """Name, expression, zone, state, next time, age of the last, what became of it, its job, reason."""
    schedule, last = line.schedule, line.last
    return [
        schedule.name,
        schedule.cron,
        schedule.zone,
        "paused" if schedule.paused else "active",
        _shown(schedule, schedule.next_for),
        ago(last.run.scheduled_for, at) if last else "–",
        result_of(last) if last else "–",
        unit_of(last) if last else "–",
        (schedule.paused_reason or "") if schedule.paused else reason_of(last) if last else "",
    ]


def run_row(schedule: "Schedule", line: "RunLine") -> list[str]:
    """Time by the plan, when it was decided, what became of it, its job, who, reason."""
    run = line.run
    return [
        _shown(schedule, run.scheduled_for),
        _shown(schedule, run.decided_at),
        result_of(line),
        unit_of(line),
        run.by_hand or "the plan",
        reason_of(line),
    ]


def due_row(schedule: "Schedule", due: "Due", at: datetime) -> list[str]:
    """Time by the plan, how far it is, when it begins, schedule, note."""
    return [
        _shown(schedule, due.logical),
        until(due.begins, at).removeprefix("in "),
        _shown(schedule, due.begins),
        schedule.name,
        note_of(schedule, due),
    ]


def schedule_fields(schedule: "Schedule") -> dict[str, str]:
    """The terms of a schedule, and when it runs next."""
    fields = {
        "state": "paused" if schedule.paused else "active",
        "reason": schedule.paused_reason or "",
        "cron": f"{schedule.cron}, {schedule.zone}",
        "next": _shown(schedule, schedule.next_for),
        "overlap": schedule.overlap.value,
        "catchup": f"{schedule.catchup.value}, at most {duration(schedule.deadline_seconds)} late",
        "jitter": duration(schedule.jitter_seconds) if schedule.jitter_seconds else "",
        "blackout": "; ".join(schedule.blackouts),
        "added": f"{_shown(schedule, schedule.added_at.replace(microsecond=0))} by {schedule.user_name}",
    }
    return {name: value for name, value in fields.items() if value}

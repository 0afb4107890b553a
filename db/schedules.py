"""Rows of schedules and of their runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import and_, delete, func, select
from sqlalchemy.orm import Session

from db.moves import add_event
from db.periods import ALWAYS, Period
from db.tables.jobs import Job
from db.tables.pipelines import PipelineRun
from db.tables.schedules import Schedule, ScheduleRun
from db.telling import tell
from pixmill.errors import CorruptRow, NotFound
from pixmill.names import suggestion
from pixmill.schedules import RunOutcome, SkipReason
from pixmill.states import ACTIVE, State

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class RunLine:
    """One run, and how its job or its run of a pipeline stands, if it has one."""

    run: ScheduleRun
    job_state: State | None
    pipeline: PipelineRun | None = None


# A pipeline's run and the run of its schedule are for the same time.
_SAME_RUN = and_(
    PipelineRun.schedule_id == ScheduleRun.schedule_id, PipelineRun.scheduled_for == ScheduleRun.scheduled_for
)


@dataclass(frozen=True)
class ScheduleLine:
    """One schedule, and its last run."""

    schedule: Schedule
    last: RunLine | None


def earliest_run(session: Session) -> datetime | None:
    """When the next run of any schedule is due; one whose time cannot be read is due."""
    try:
        return session.scalar(select(func.min(Schedule.next_run_at)))
    except CorruptRow:  # whoever works it off says whose it is
        return LONG_AGO


def due_schedules(session: Session, at: datetime, limit: int) -> Sequence[int]:
    """Schedules of which a run is due, the longest overdue first."""
    due = select(Schedule.id).where(Schedule.next_run_at <= at)
    return session.scalars(due.order_by(Schedule.next_run_at).limit(limit)).all()


def lock_due(session: Session, schedule_id: int, at: datetime) -> Schedule | None:
    """Lock a schedule until the transaction ends; None if no run of it is due any more."""
    due = (Schedule.id == schedule_id, Schedule.next_run_at <= at)
    return session.scalars(select(Schedule).where(*due).with_for_update()).one_or_none()


def get_schedule(session: Session, name: str, *, locked: bool = False) -> Schedule:
    """The schedule of that name, locked until the transaction ends if wanted.  Raises NotFound."""
    statement = select(Schedule).where(Schedule.name == name)
    row = session.scalars(statement.with_for_update() if locked else statement).one_or_none()
    if row is None:
        names = session.scalars(select(Schedule.name)).all()
        hint = suggestion(name, names) if names else "there is none yet: pixmill schedule add --help"
        raise NotFound(f"there is no schedule {name!r}", hint=hint)
    return row


def add_run(session: Session, schedule: Schedule, run: ScheduleRun) -> ScheduleRun:
    """Record what became of one time of a schedule."""
    session.add(run)
    session.flush()
    schedule.last_run_id = run.id
    if run.outcome is RunOutcome.REFUSED:
        _tell(session, "schedule.refused", schedule, run)
    elif run.reason == SkipReason.TOO_LATE:
        _tell(session, "schedule.missed", schedule, run)
    return run


def _tell(session: Session, kind: str, schedule: Schedule, run: ScheduleRun) -> None:
    facts = {name: getattr(run, name) for name in ("scheduled_for", "reason", "message", "decided_at")}
    tell(session, kind, f"schedule {schedule.name}", {"schedule": schedule.name, "zone": schedule.zone, **facts})


def unfinished_jobs(session: Session, schedule_id: int, limit: int) -> Sequence[int]:
    """Those of the last `limit` jobs of a schedule that have not ended, the oldest first."""
    of_schedule = (ScheduleRun.schedule_id == schedule_id, ScheduleRun.job_id.is_not(None))
    last = select(ScheduleRun.job_id).where(*of_schedule).order_by(ScheduleRun.job_id.desc()).limit(limit)
    return session.scalars(select(Job.id).where(Job.id.in_(last), Job.state.in_(ACTIVE)).order_by(Job.id)).all()


def pause_schedule(session: Session, name: str, *, actor: str, why: str | None) -> bool:
    """Start nothing more by the plan; False if it was paused before.  Raises NotFound."""
    return _set_paused(session, name, paused=True, actor=actor, why=why)


def resume_schedule(session: Session, name: str, *, actor: str, why: str | None = None) -> bool:
    """Go on with the first time that is not decided yet; False if it was not paused.  Raises NotFound."""
    return _set_paused(session, name, paused=False, actor=actor, why=why)


def _set_paused(session: Session, name: str, *, paused: bool, actor: str, why: str | None) -> bool:
    schedule = get_schedule(session, name, locked=True)
    changed = schedule.paused != paused
    schedule.paused, schedule.paused_reason = paused, why if paused else None
    action = "pause_schedule" if paused else "resume_schedule"
    add_event(session, actor=actor, action=action, detail=f"{name}: {why}" if why else name)
    return changed


def remove_schedule(session: Session, name: str, *, actor: str, why: str | None = None) -> None:
    """Forget a schedule and its history; jobs that it has submitted stay as they are.  Raises NotFound."""
    schedule = get_schedule(session, name, locked=True)
    told = f"{name}: {schedule.cron} {schedule.zone}" + (f": {why}" if why else "")
    add_event(session, actor=actor, action="remove_schedule", detail=told)
    session.execute(delete(Schedule).where(Schedule.id == schedule.id))


def schedule_lines(session: Session, names: Sequence[str] | None = None) -> list[ScheduleLine]:
    """Schedules by name, all unless some are named, each with its last run."""
    statement = (
        select(Schedule, ScheduleRun, Job.state, PipelineRun)
        .outerjoin(ScheduleRun, ScheduleRun.id == Schedule.last_run_id)
        .outerjoin(Job, Job.id == ScheduleRun.job_id)
        .outerjoin(PipelineRun, _SAME_RUN)
        .order_by(Schedule.name)
    )
    if names is not None:
        statement = statement.where(Schedule.name.in_(names))
    return [
        ScheduleLine(schedule, RunLine(run, state, pipeline) if run else None)
        for schedule, run, state, pipeline in session.execute(statement)
    ]


def run_lines(session: Session, schedule_id: int, *, limit: int, period: Period = ALWAYS) -> list[RunLine]:
    """The last runs of a schedule, the newest first."""
    statement = (
        select(ScheduleRun, Job.state, PipelineRun)
        .outerjoin(Job, Job.id == ScheduleRun.job_id)
        .outerjoin(PipelineRun, _SAME_RUN)
        .where(ScheduleRun.schedule_id == schedule_id, *period.bounds(ScheduleRun.scheduled_for))
        .order_by(ScheduleRun.scheduled_for.desc())
        .limit(limit)
    )
    return [RunLine(*row) for row in session.execute(statement)]

"""How things stand, in numbers that a monitoring system reads again and again: cheap however many jobs there are."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from db.dispatch import free_slots
from db.order import ready_tasks
from db.tables.jobs import Job, Queue, Role, Task
from db.tables.models import Model, ModelAlias, ModelEvent
from db.tables.pipelines import PipelineRun
from db.tables.schedules import Schedule, ScheduleRun
from db.types import now
from db.workers import present_slots
from pixmill.aliases import CHAMPION
from pixmill.states import PipelineState, State

_FINE = (PipelineState.SUCCEEDED, PipelineState.SKIPPED)  # skipped: nothing was to be done
MOST_STARTABLE = 100  # that are asked for: whether there are any is what counts


@dataclass(frozen=True)
class Waiting:
    """Tasks of one queue that wait for one thing."""

    queue: str
    reason: str  # as the REASON column has it
    tasks: int


@dataclass(frozen=True)
class Line:
    """What waits: in each queue and why, and since when the oldest that waits for no other."""

    waiting: list[Waiting]
    ages: Mapping[str, float]  # queue → seconds since the submit


@dataclass(frozen=True)
class Timetable:
    """A schedule, in seconds; None: there is none."""

    name: str
    late: float  # since a run is due that has not begun; 0 where none is
    success_age: float | None  # since the time of the last run that succeeded


def line(session: Session) -> Line:
    """All that waits for a worker, by an index that has it all."""
    columns = (Task.state, Task.blocked, Task.queue)
    groups = select(*columns, func.count(), func.min(Task.id)).where(Task.state.in_([State.PENDING, State.HELD]))
    later = _later(session)
    paused = set(session.scalars(select(Queue.name).where(Queue.paused)))
    free = "Resources" if present_slots(session) else "NoWorker"
    found: list[Waiting] = []
    oldest: dict[str, int] = {}
    for state, blocked, queue, count, first in session.execute(groups.group_by(*columns)):
        if state is State.HELD:
            found.append(Waiting(queue, "Held", count))
            continue
        begin = later.get((queue, blocked), 0)
        found.append(Waiting(queue, "BeginTime", begin))
        reason = "Dependency" if blocked else "QueuePaused" if queue in paused else free
        found.append(Waiting(queue, reason, max(0, count - begin)))
        if not blocked:
            oldest[queue] = first
    return Line(found, _ages(session, oldest))


def _later(session: Session) -> "Counter[tuple[str, bool]]":
    """(queue, whether it waits for others) → tasks that may not begin yet."""
    # By an index that has only the tasks with such a time; asked for the state too, SQLite would walk all that wait.
    later = select(Task.state, Task.queue, Task.blocked).where(Task.available_at > now())
    rows = session.execute(later)
    return Counter((queue, blocked) for state, queue, blocked in rows if state is State.PENDING)


def _ages(session: Session, oldest: Mapping[str, int]) -> dict[str, float]:
    columns = select(Task.id, Job.submitted_at, now().label("at")).join(Job, Job.id == Task.job_id)
    rows = session.execute(columns.where(Task.id.in_(list(oldest.values()))))
    ages = {task_id: (at - submitted_at).total_seconds() for task_id, submitted_at, at in rows}
    return {queue: max(0.0, ages[task_id]) for queue, task_id in oldest.items() if task_id in ages}


def active(session: Session) -> dict[tuple[State, str, Role], int]:
    """(state, queue, role) → tasks that run, or whose wake-up is on its way."""
    columns = (Task.state, Task.queue, Task.role)
    groups = select(*columns, func.count()).where(Task.state.in_([State.QUEUED, State.RUNNING]))
    rows = session.execute(groups.group_by(*columns))
    return {(state, queue, role): count for state, queue, role, count in rows}


def startable(session: Session) -> int:
    """How many tasks a free device could run at this moment: the scheduler starts them at its next tick."""
    slots = free_slots(session).items()
    return sum(len(ready_tasks(session, slot, min(free, MOST_STARTABLE))) for slot, free in slots)


def timetables(session: Session, most: int) -> list[Timetable]:
    """The first schedules by name."""
    of_job = select(ScheduleRun.scheduled_for).join(Job, Job.id == ScheduleRun.job_id)
    by_job = of_job.where(ScheduleRun.schedule_id == Schedule.id, Job.state == State.SUCCEEDED)
    of_pipeline = select(PipelineRun.scheduled_for).where(
        PipelineRun.schedule_id == Schedule.id, PipelineRun.state.in_(_FINE)
    )
    columns: Any = (
        Schedule.name,
        Schedule.paused,
        Schedule.next_run_at,
        by_job.order_by(ScheduleRun.scheduled_for.desc()).limit(1).scalar_subquery(),
        of_pipeline.order_by(PipelineRun.scheduled_for.desc()).limit(1).scalar_subquery(),
        now().label("at"),
    )
    rows = session.execute(select(*columns).order_by(Schedule.name).limit(most))
    return [_timetable(*row) for row in rows]


def _timetable(
    name: str, paused: bool, due: datetime | None, by_job: datetime | None, by_pipeline: datetime | None, at: datetime
) -> Timetable:
    last = max((when for when in (by_job, by_pipeline) if when is not None), default=None)
    late = 0.0 if paused or due is None else max(0.0, (at - due).total_seconds())
    return Timetable(name, late, None if last is None else (at - last).total_seconds())


def champion_ages(session: Session, most: int) -> dict[str, float]:
    """Model → seconds since its champion became it; the first models by name."""
    moved = aliased(ModelEvent)
    of_alias = (moved.model_id == Model.id, moved.alias == CHAMPION)
    last = select(func.max(moved.number)).where(*of_alias).correlate(Model).scalar_subquery()
    statement = (
        select(Model.name, ModelEvent.at, now().label("now"))
        .join(ModelAlias, (ModelAlias.model_id == Model.id) & (ModelAlias.name == CHAMPION))
        .join(ModelEvent, (ModelEvent.model_id == Model.id) & (ModelEvent.number == last))
        .order_by(Model.name)
        .limit(most)
    )
    return {name: max(0.0, (seen - at).total_seconds()) for name, at, seen in session.execute(statement)}

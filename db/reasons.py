"""What holds jobs back: the facts behind the reasons that people are shown.

What a list of jobs needs is read for many jobs at once and never asks who is ahead of whom; that is counted for one
job alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from db.dependencies import unfinished_parent
from db.finding import get_job
from db.lanes import full_array
from db.order import TURN_MILLISECONDS, Share, active_tasks, charges, read_shares, room_in
from db.tables.fleet import Device, Worker
from db.tables.jobs import Event, Job, JobDependency, Queue, Task
from db.types import now
from pixmill.states import ACTIVE, State

_BATCH = 5000  # jobs asked about in one statement; SQLite takes no more than 32,766 values


@dataclass(frozen=True, kw_only=True)
class BackOff:
    """A failure that holds a task back until it is tried again."""

    until: datetime
    retry: int  # 1 for the first
    retries: int  # that it is granted
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """What the tasks of one job that have not ended do, and what it waits for in vain."""

    states: Mapping[State, int] = field(default_factory=dict)
    stop_to: State | None = None  # where its running tasks go once their workers have stopped them
    back_off: BackOff | None = None  # holds back all that could run otherwise
    lost_parents: tuple[int, ...] = ()  # jobs whose success it needs and that have failed or were cancelled

    def count(self, *states: State) -> int:
        """How many of its tasks are in one of these states."""
        return sum(self.states.get(state, 0) for state in states)


def read_unfinished(session: Session, job_ids: Sequence[int]) -> dict[int, Unfinished]:
    """The unfinished tasks of many jobs; a job without any is left out."""
    found: dict[int, Unfinished] = {}
    for first in range(0, len(job_ids), _BATCH):
        found |= _read_batch(session, job_ids[first : first + _BATCH])
    return found


def _read_batch(session: Session, job_ids: Sequence[int]) -> dict[int, Unfinished]:
    statement = (
        select(Task.job_id, Task.state, func.count(), func.max(Task.stop_to))
        .where(Task.job_id.in_(job_ids))  # no word of states: SQLite would walk all pending tasks for these few jobs
        .group_by(Task.job_id, Task.state)
    )
    states: dict[int, dict[State, int]] = {}
    stops: dict[int, State] = {}
    for job_id, state, count, stop_to in session.execute(statement):
        if state in ACTIVE:
            states.setdefault(job_id, {})[state] = count
        if stop_to is not None:
            stops[job_id] = stop_to
    back_offs = _back_offs(session, [job_id for job_id, counts in states.items() if State.PENDING in counts])
    lost = _lost_parents(session, list(states))
    return {
        job_id: Unfinished(
            states=counts,
            stop_to=stops.get(job_id),
            back_off=back_offs.get(job_id),
            lost_parents=tuple(lost.get(job_id, ())),
        )
        for job_id, counts in states.items()
    }


def _back_offs(session: Session, job_ids: Sequence[int]) -> dict[int, BackOff]:
    """The first retry of each job of which nothing can start before it."""
    failed = (Task.available_at, Task.failures, Task.excused_failures, Task.retries, Task.reason, Task.message)
    statement = (
        select(Task.job_id, Task.state, *failed)
        .where(Task.job_id.in_(job_ids), Task.failures > Task.excused_failures, Task.available_at > now())
        .order_by(Task.job_id, Task.available_at)
    )
    first: dict[int, Any] = {}
    for task in session.execute(statement):
        if task.state is State.PENDING:
            first.setdefault(task.job_id, task)
    others = _startable_jobs(session, list(first))
    return {job_id: _back_off(task) for job_id, task in first.items() if job_id not in others}


def _back_off(task: Any) -> BackOff:
    return BackOff(
        until=task.available_at,
        retry=task.failures - task.excused_failures,
        retries=task.retries,
        reason=task.reason or "",
        message=task.message or "",
    )


def _startable_jobs(session: Session, job_ids: Sequence[int]) -> set[int]:
    """Those of the jobs of which something could start at once."""
    if not job_ids:
        return set()
    due = or_(Task.available_at.is_(None), Task.available_at <= now())
    statement = select(Task.job_id, Task.state).where(Task.job_id.in_(job_ids), due, ~unfinished_parent()).distinct()
    return {job_id for job_id, state in session.execute(statement) if state in {State.PENDING, State.QUEUED}}


def _lost_parents(session: Session, job_ids: Sequence[int]) -> dict[int, list[int]]:
    # The state is not asked for in SQL: SQLite would walk all failed jobs, and look for every child of each.
    statement = (
        select(JobDependency.job_id, JobDependency.parent_id, Job.state)
        .join(Job, Job.id == JobDependency.parent_id)
        .where(JobDependency.job_id.in_(job_ids), ~JobDependency.any_outcome)
        .order_by(JobDependency.job_id, JobDependency.parent_id)
    )
    found: dict[int, list[int]] = {}
    for job_id, parent_id, state in session.execute(statement):
        if state in {State.FAILED, State.CANCELLED}:
            found.setdefault(job_id, []).append(parent_id)
    return found


def read_lost_parents(session: Session, job_id: int) -> tuple[int, ...]:
    """Jobs whose success the job needs and that have failed or were cancelled."""
    return tuple(_lost_parents(session, [job_id]).get(job_id, ()))


def all_queues(session: Session) -> dict[str, Queue]:
    """Name → queue."""
    return {queue.name: queue for queue in session.scalars(select(Queue).order_by(Queue.name))}


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """Who gets a device before one job, as the order stands now."""

    tasks: int
    of_the_user: int  # how many of them belong to the job's user
    device_seconds: Mapping[str, float]  # user → used lately, of all whose tasks wait


def read_ahead(session: Session, job_id: int) -> Ahead | None:
    """Count the tasks that go before the first waiting one of a job; None when its queue is paused or it has none.

    Counts what the dispatch would take first: an account that runs as much as its queue lets it takes no part, and each
    task that an account is given puts it back by a turn.  Raises NotFound.
    """
    job = get_job(session, job_id)
    waiting = select(Task).where(Task.job_id == job_id, Task.state == State.PENDING)
    task = session.scalars(waiting.order_by(Task.rank, Task.id).limit(1)).one_or_none()
    shares, active = read_shares(session), active_tasks(session)
    charged = dict(zip([(share.queue, share.user) for share in shares], charges(shares, active), strict=True))
    own = next((share for share in shares if (share.queue, share.user) == (job.queue, job.user_name)), None)
    if task is None or own is None:
        return None
    mine = _count(session, _before(task, own))
    score = charged[own.queue, own.user] + mine * _turn(own) + task.rank
    counts = {own: mine}
    for share in shares:
        if share != own and share.waits and room_in(share, active) > 0:
            limit = score - charged[share.queue, share.user]
            counts[share] = _count_until(session, task, share, limit)
    used: dict[str, float] = {}
    for share in shares:
        if counts.get(share) or share.user == job.user_name:
            used[share.user] = used.get(share.user, 0.0) + share.device_seconds
    of_the_user = sum(count for share, count in counts.items() if share.user == job.user_name)
    return Ahead(tasks=sum(counts.values()), of_the_user=of_the_user, device_seconds=used)


def _turn(share: Share) -> float:
    """Milliseconds by which one more running task puts the account back."""
    return TURN_MILLISECONDS * (1 + 1 / share.weight)


def _rivals(task: Task, share: Share) -> Iterator[ColumnElement[bool]]:
    """SQL conditions on the account's tasks that could be given a device that this task waits for."""
    yield Task.queue == share.queue
    yield Task.user_name == share.user
    if task.device_kind is not None:
        yield or_(Task.device_kind.is_(None), Task.device_kind == task.device_kind)
    yield Task.state == State.PENDING
    yield ~Task.blocked  # so that the index serves
    yield or_(Task.available_at.is_(None), Task.available_at <= now())
    yield ~unfinished_parent()
    yield ~full_array()


def _before(task: Task, share: Share) -> Iterator[ColumnElement[bool]]:
    yield from _rivals(task, share)
    yield or_(Task.rank < task.rank, (Task.rank == task.rank) & (Task.id < task.id))


def _count(session: Session, conditions: Iterator[ColumnElement[bool]]) -> int:
    return session.scalar(select(func.count()).select_from(Task).where(*conditions)) or 0


def _count_until(session: Session, task: Task, share: Share, score: float) -> int:
    """How many of the account's tasks have a smaller score, when each is put back by those before it."""
    place = func.row_number().over(order_by=(Task.rank, Task.id)) - 1
    ranked = select(Task.rank.label("rank"), place.label("place")).where(*_rivals(task, share)).subquery()
    sooner = ranked.c.rank + ranked.c.place * _turn(share) < score
    return session.scalar(select(func.count()).select_from(ranked).where(sooner)) or 0


def last_event(session: Session, job_id: int, actions: Sequence[str]) -> Event | None:
    """The newest of the job's events with one of these actions."""
    statement = select(Event).where(Event.job_id == job_id, Event.action.in_(actions))
    return session.scalars(statement.order_by(Event.id.desc()).limit(1)).one_or_none()


def devices_of(session: Session, job_id: int) -> dict[int, Device]:
    """Task id → where it runs, of the job's running tasks."""
    statement = (
        select(Task.id, Device)
        .join(Worker, Worker.id == Task.worker_id)
        .join(Device, Device.id == Worker.device_id)
        .where(Task.job_id == job_id, Task.state == State.RUNNING)
    )
    return {task_id: device for task_id, device in session.execute(statement)}  # noqa: C416  rows are not tuples to mypy

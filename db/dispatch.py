"""What the scheduler asks and writes: who is free, what is ready, which wake-ups to send, which leases ran out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, exists, func, select, update
from sqlalchemy.orm import Session

from db.corrupt import blank, corrupt_rows, of_task, sound_rows
from db.dependencies import doomed_jobs, unblock_ready_tasks
from db.lanes import Slot, within_array_limits
from db.leases import after_loss
from db.moves import (
    THESE_JOBS,
    THESE_TASKS,
    LockedJob,
    add_events,
    lock_job,
    lock_jobs,
    move_task,
    settle_job,
    task_event,
)
from db.order import ready_tasks
from db.statements import update_all, update_each, update_row
from db.tables.fleet import Device, DeviceKind, Worker
from db.tables.jobs import Attempt, Job, Outcome, Queue, Task
from db.telling import tell
from db.types import now
from db.workers import BUSY, PRESENT
from pixmill.states import FailureReason, State

ACTOR = "scheduler"

_tasks: Any = Task.__table__
_queues: Any = Queue.__table__
_workers: Any = Worker.__table__
_devices: Any = Device.__table__
_jobs: Any = Job.__table__
_THESE_WAIT = (THESE_TASKS, _tasks.c.state == State.PENDING)
_INTO_QUEUE = {"state": State.QUEUED, "dispatch_seq": _tasks.c.dispatch_seq + 1, "dispatched_at": None}
_QUEUED_AS = (_tasks.c.id, _tasks.c.job_id, _tasks.c.dispatch_seq)
_THIS_WAKE_UP = (
    _tasks.c.id == bindparam("of_task"),
    _tasks.c.dispatch_seq == bindparam("of_seq"),
    _tasks.c.state == State.QUEUED,
)
_JUST_NOW = {"dispatched_at": now()}
_THIS_WORKER = (
    _workers.c.id == bindparam("of_worker"),
    _workers.c.heartbeat_count == bindparam("of_beats"),
    _workers.c.stopped_at.is_(None),
)


@dataclass(frozen=True)
class WakeUp:
    """A message to send: the task, the requeue it belongs to, and the sort of worker to wake."""

    task_id: int
    dispatch_seq: int
    slot: Slot


@dataclass(frozen=True)
class Queued:
    """A task whose wake-up is on its way, or was lost."""

    id: int
    job_id: int
    dispatch_seq: int
    dispatched_at: datetime | None  # None: nobody knows whether the message has left
    device_kind: DeviceKind | None
    devices: int


@dataclass(frozen=True)
class Sighting:
    """What a running task looked like; unchanged for a whole lease means that its worker is gone."""

    lease_epoch: int
    heartbeat_count: int
    job_id: int | None = None


def free_slots(session: Session) -> dict[Slot, int]:
    """How many more tasks can start at once, by sort of worker.

    The fast devices come first: a task for any goes there; and the narrow slots, since the wide ones are rarer.
    """
    free = {Slot(row.kind, row.width): row.free for row in sound_rows(session, _free_statement(), {})}
    return {slot: free[slot] for slot in sorted(free, key=lambda slot: (slot.kind is DeviceKind.CPU, slot.width))}


@cache
def _free_statement() -> "Select[Any]":
    free = (PRESENT, ~BUSY, ~_workers.c.draining, ~_devices.c.drained)
    sort = (_devices.c.kind, _devices.c.width)
    counted = select(*sort, func.count().label("free")).join(_workers, _workers.c.device_id == _devices.c.id)
    return counted.where(*free).group_by(*sort)


def queue_ready_tasks(session: Session, slot: Slot, count: int) -> list[WakeUp]:
    """Move up to `count` tasks that such a worker may run from pending to queued, best first."""
    found = ready_tasks(session, slot, count)
    if not found:
        return []
    jobs = lock_jobs(session, sorted({ready.job_id for ready in found}))
    found = within_array_limits(session, [ready for ready in found if ready.job_id in jobs])
    which = {"task_ids": [ready.task_id for ready in found]}
    moved = {row.id: row for row in update_all(session, _tasks, _THESE_WAIT, _INTO_QUEUE, which, _QUEUED_AS)}
    about = (ACTOR, "queue", None)
    events = [task_event(*about, row.job_id, row.id, State.PENDING, State.QUEUED) for row in moved.values()]
    add_events(session, events)
    _settle_queued(session, [jobs[job_id] for job_id in sorted({row.job_id for row in moved.values()})])
    queued = (moved[ready.task_id] for ready in found if ready.task_id in moved)
    return [WakeUp(row.id, row.dispatch_seq, slot) for row in queued]


def _settle_queued(session: Session, jobs: Sequence[LockedJob]) -> None:
    """Make the rows of jobs follow tasks that have just been queued."""
    alone = [job.id for job in jobs if job.has_one_task]
    if alone:
        update_all(session, _jobs, THESE_JOBS, {"state": State.QUEUED}, {"job_ids": alone})
    for job in jobs:
        if not job.has_one_task:
            with corrupt_rows(session).spared(f"a task of job {job.id}", job.id):
                settle_job(session, job, actor=ACTOR)


def queued_tasks(session: Session) -> Sequence[Queued]:
    """Tasks whose wake-up is on its way, or was lost."""
    return [Queued(*row) for row in sound_rows(session, _queued_statement(paused=False), {}, of_task(session))]


@cache
def _queued_statement(*, paused: bool) -> "Select[Any]":
    columns = ("id", "job_id", "dispatch_seq", "dispatched_at", "device_kind", "devices")
    queued = select(*(_tasks.c[name] for name in columns)).where(_tasks.c.state == State.QUEUED)
    if paused:
        queued = queued.where(exists().where(_queues.c.name == _tasks.c.queue, _queues.c.paused))
    return queued.order_by(_tasks.c.id)


def mark_dispatched(session: Session, wake_ups: Iterable[WakeUp]) -> None:
    """Note that these wake-ups have left."""
    rows: list[tuple[dict[str, int], dict[str, Any]]] = [
        ({"of_task": wake_up.task_id, "of_seq": wake_up.dispatch_seq}, {}) for wake_up in wake_ups
    ]
    update_each(session, _tasks, _THIS_WAKE_UP, _JUST_NOW, rows)


def unqueue(session: Session, task: Queued, why: str) -> None:
    """Put a queued task back to pending: no worker is there to take it."""
    job = lock_job(session, task.job_id)
    same = (Task.dispatch_seq == task.dispatch_seq,)
    move_task(session, task.id, State.QUEUED, State.PENDING, actor=ACTOR, action="unqueue", detail=why, where=same)
    settle_job(session, job, actor=ACTOR)


def unqueue_paused(session: Session) -> None:
    """Put the queued tasks of paused queues back to pending, so that they take no slot from others."""
    for row in sound_rows(session, _queued_statement(paused=True), {}, of_task(session)):
        with corrupt_rows(session).spared(f"job {row.job_id}", row.job_id):
            unqueue(session, Queued(*row), "its queue is paused")


def sight_running(session: Session) -> dict[int, Sighting]:
    """Task id → what it looks like now, for all running tasks."""
    rows = sound_rows(session, _running_statement(), {}, of_task(session))
    return {row.id: Sighting(row.lease_epoch, row.heartbeat_count, row.job_id) for row in rows}


@cache
def _running_statement() -> "Select[Any]":
    columns = select(_tasks.c.id, _tasks.c.job_id, _tasks.c.lease_epoch, _tasks.c.heartbeat_count)
    return columns.where(_tasks.c.state == State.RUNNING)


def expire_lease(session: Session, task_id: int, seen: Sighting, *, max_lost_leases: int) -> State | None:
    """Take a task from a worker that went silent; None when it has moved since it was seen."""
    job_id = session.scalar(select(Task.job_id).where(Task.id == task_id))
    if job_id is None:
        return None
    job = lock_job(session, job_id)
    silent, limit = "its worker went silent", max_lost_leases
    target, values, message = after_loss(session, task_id, FailureReason.WORKER_LOST, silent, max_lost_leases=limit)
    if job.cancel_requested:
        target, values, message = State.CANCELLED, {"lost_leases": Task.lost_leases + 1}, silent
    unchanged = (Task.lease_epoch == seen.lease_epoch, Task.heartbeat_count == seen.heartbeat_count)
    task = move_task(
        session,
        task_id,
        State.RUNNING,
        target,
        actor=ACTOR,
        action="expire",
        detail=message,
        where=unchanged,
        values=values,
    )
    if task is None:
        return None
    mine = (Attempt.task_id == task_id, Attempt.lease_epoch == seen.lease_epoch, Attempt.outcome.is_(None))
    lost = {"outcome": Outcome.LOST, "message": message, "finished_at": now()}
    session.execute(update(Attempt).where(*mine).values(lost))
    settle_job(session, job, actor=ACTOR)
    return target


def forget_worker(session: Session, worker_id: int, beats: int) -> bool:
    """Count a worker as gone that has not beaten since; False if it has, or was counted so before."""
    told = (_workers.c.name, _workers.c.pid, _workers.c.seen_at)
    which = {"of_worker": worker_id, "of_beats": beats}
    gone = update_row(
        session, _workers, _THIS_WORKER, {"stopped_at": now()}, which, told, blank(session, f"worker {worker_id}")
    )
    if gone is None:
        return False
    facts = {"worker": gone.name, "worker_id": worker_id, "pid": gone.pid, "seen_at": gone.seen_at}
    tell(session, "worker.silent", f"worker {gone.name}", facts)
    return True


def settle_waiting(session: Session) -> int:
    """Look at all that waits for others: what need not wait any more, and what waits in vain; gives how many."""
    return unblock_ready_tasks(session) + fail_doomed_jobs(session)


def fail_doomed_jobs(session: Session) -> int:
    """Fail the jobs that wait for a success that will never come; gives how many."""
    doomed = doomed_jobs(session)
    for job_id, parent_id in doomed:
        with corrupt_rows(session).spared(f"job {job_id}", job_id):
            _fail_doomed(session, job_id, f"job {parent_id}, which it waits for, did not succeed")
    return len(doomed)


def _fail_doomed(session: Session, job_id: int, message: str) -> None:
    job = lock_job(session, job_id)
    waiting = select(Task.id, Task.state).where(Task.job_id == job_id, Task.state.in_([State.PENDING, State.HELD]))
    for task_id, state in session.execute(waiting).all():
        if state is State.HELD:
            move_task(session, task_id, State.HELD, State.PENDING, actor=ACTOR, action="release", detail=message)
        move_task(
            session,
            task_id,
            State.PENDING,
            State.FAILED,
            actor=ACTOR,
            action="fail",
            detail=message,
            values={"reason": FailureReason.DEPENDENCY, "message": message},
        )
    settle_job(session, job, actor=ACTOR)

"""What the scheduler asks and writes: who is free, what is ready, which wake-ups to send, which leases ran out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from db.jobs import doomed_jobs, unfinished_parent
from db.moves import lock_job, move_task, settle_job
from db.tables import Attempt, DeviceKind, Outcome, Queue, Task
from db.types import now
from db.workers import present_workers, running_tasks
from pixmill.states import FailureReason, State

ACTOR = "scheduler"


@dataclass(frozen=True)
class WakeUp:
    """A message to send: the task, the requeue it belongs to, and the kind of worker to wake."""

    task_id: int
    dispatch_seq: int
    kind: DeviceKind


@dataclass(frozen=True)
class Sighting:
    """What a running task looked like; unchanged for a whole lease means that its worker is gone."""

    lease_epoch: int
    heartbeat_count: int


def free_slots(session: Session, alive: Iterable[int]) -> dict[DeviceKind, int]:
    """How many more tasks can start at once, by kind of device; `alive` are the worker ids that still beat."""
    busy = running_tasks(session).keys()
    slots = {DeviceKind.CUDA: 0, DeviceKind.CPU: 0}  # the fast ones first: a task for any device goes there
    alive = set(alive)
    for worker in present_workers(session):
        if worker.id in alive and worker.id not in busy and not worker.draining:
            slots[worker.device.kind] += 1
    return slots


def waiting_wake_ups(session: Session) -> Mapping[DeviceKind | None, int]:
    """How many tasks have a wake-up on its way, by the kind of device they need."""
    statement = select(Task.device_kind, func.count()).where(Task.state == State.QUEUED).group_by(Task.device_kind)
    return {kind: count for kind, count in session.execute(statement)}  # noqa: C416


def queue_ready_tasks(session: Session, kind: DeviceKind, count: int) -> list[WakeUp]:
    """Move up to `count` tasks that a device of this kind may run from pending to queued, best first."""
    ready = (
        select(Task.id, Task.job_id)
        .where(Task.state == State.PENDING, or_(Task.device_kind.is_(None), Task.device_kind == kind))
        .where(or_(Task.available_at.is_(None), Task.available_at <= now()))
        .where(~_queue_is_paused(), ~unfinished_parent())
        .order_by(Task.priority.desc(), Task.id)
        .limit(count)
    )
    wake_ups = []
    for task_id, job_id in session.execute(ready).all():
        job = lock_job(session, job_id)
        task = move_task(
            session,
            task_id,
            State.PENDING,
            State.QUEUED,
            actor=ACTOR,
            action="queue",
            values={"dispatch_seq": Task.dispatch_seq + 1, "dispatched_at": None},
        )
        if task is not None:
            settle_job(session, job, actor=ACTOR)
            wake_ups.append(WakeUp(task.id, task.dispatch_seq, kind))
    return wake_ups


def _queue_is_paused() -> ColumnElement[bool]:
    return select(Queue.name).where(Queue.name == Task.queue, Queue.paused).exists()


def queued_tasks(session: Session) -> Sequence[Task]:
    """Tasks whose wake-up is on its way, or was lost."""
    return session.scalars(select(Task).where(Task.state == State.QUEUED).order_by(Task.id)).all()


def mark_dispatched(session: Session, wake_ups: Iterable[WakeUp]) -> None:
    """Note that these wake-ups have left."""
    for wake_up in wake_ups:
        same = (Task.id == wake_up.task_id, Task.dispatch_seq == wake_up.dispatch_seq, Task.state == State.QUEUED)
        session.execute(update(Task).where(*same).values(dispatched_at=now()))


def unqueue(session: Session, task: Task, why: str) -> None:
    """Put a queued task back to pending: no worker is there to take it."""
    job = lock_job(session, task.job_id)
    same = (Task.dispatch_seq == task.dispatch_seq,)
    move_task(session, task.id, State.QUEUED, State.PENDING, actor=ACTOR, action="unqueue", detail=why, where=same)
    settle_job(session, job, actor=ACTOR)


def unqueue_paused(session: Session) -> None:
    """Put the queued tasks of paused queues back to pending, so that they take no slot from others."""
    for task in session.scalars(select(Task).where(Task.state == State.QUEUED, _queue_is_paused())).all():
        unqueue(session, task, "its queue is paused")


def sight_running(session: Session) -> dict[int, Sighting]:
    """Task id → what it looks like now, for all running tasks."""
    statement = select(Task.id, Task.lease_epoch, Task.heartbeat_count).where(Task.state == State.RUNNING)
    return {task_id: Sighting(epoch, count) for task_id, epoch, count in session.execute(statement)}


def expire_lease(session: Session, task_id: int, seen: Sighting, *, max_lost_leases: int) -> State | None:
    """Take a task from a worker that went silent; None when it has moved since it was seen."""
    job_id = session.scalar(select(Task.job_id).where(Task.id == task_id))
    if job_id is None:
        return None
    job = lock_job(session, job_id)
    lost = session.scalar(select(Task.lost_leases).where(Task.id == task_id)) or 0
    message = "its worker went silent"
    values: dict[str, object] = {"lost_leases": Task.lost_leases + 1}
    if job.cancel_requested:
        target = State.CANCELLED
    elif lost + 1 >= max_lost_leases:
        target = State.FAILED
        message = f"{lost + 1} workers went silent while they ran it"
        values |= {"reason": FailureReason.WORKER_LOST, "message": message}
    else:
        target = State.PENDING
        values |= {"dispatched_at": None, "worker_id": None}
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
    session.execute(update(Attempt).where(*mine).values(outcome=Outcome.LOST, message=message, finished_at=now()))
    settle_job(session, job, actor=ACTOR)
    return target


def fail_doomed_jobs(session: Session) -> int:
    """Fail the jobs that wait for a success that will never come; gives how many."""
    doomed = doomed_jobs(session)
    for job_id, parent_id in doomed:
        job = lock_job(session, job_id)
        message = f"job {parent_id}, which it waits for, did not succeed"
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
    return len(doomed)

"""What the scheduler asks and writes: who is free, what is ready, which wake-ups to send, which leases ran out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from db.dependencies import doomed_jobs
from db.leases import after_loss
from db.moves import lock_job, move_task, settle_job
from db.order import ready_tasks
from db.tables import Attempt, DeviceKind, Outcome, Queue, Task
from db.types import now
from db.workers import present_workers, running_tasks
from pixmill.states import FailureReason, State

ACTOR = "scheduler"

_NEXT_DISPATCH = Task.dispatch_seq + 1


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


def free_slots(session: Session) -> dict[DeviceKind, int]:
    """How many more tasks can start at once, by kind of device."""
    busy = running_tasks(session).keys()
    slots = {DeviceKind.CUDA: 0, DeviceKind.CPU: 0}  # the fast ones first: a task for any device goes there
    for worker in present_workers(session):
        if worker.id not in busy and not worker.draining and not worker.device.drained:
            slots[worker.device.kind] += 1
    return slots


def waiting_wake_ups(session: Session) -> Mapping[DeviceKind | None, int]:
    """How many tasks have a wake-up on its way, by the kind of device they need."""
    statement = select(Task.device_kind, func.count()).where(Task.state == State.QUEUED).group_by(Task.device_kind)
    return {kind: count for kind, count in session.execute(statement)}  # noqa: C416


def queue_ready_tasks(session: Session, kind: DeviceKind, count: int) -> list[WakeUp]:
    """Move up to `count` tasks that a device of this kind may run from pending to queued, best first."""
    wake_ups = []
    for ready in ready_tasks(session, kind, count):
        job = lock_job(session, ready.job_id)
        task = move_task(
            session,
            ready.task_id,
            State.PENDING,
            State.QUEUED,
            actor=ACTOR,
            action="queue",
            values={"dispatch_seq": _NEXT_DISPATCH, "dispatched_at": None},
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

"""A worker's hold on a task: claim it, keep it, publish under it, end it.

Every write here carries the lease's epoch. A worker that was taken for dead and comes back holds an old epoch: its
writes match no row, it gets LeaseLost, and nothing that it made is published.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from db.moves import lock_job, move_task, settle_job
from db.tables import Attempt, Checkpoint, CheckpointKind, DeviceKind, Job, Outcome, Queue, Role, Shard, Task, Worker
from db.types import now
from pixmill.errors import LeaseLost
from pixmill.states import FailureReason, State

KEPT_CHECKPOINTS = 2  # "last" ones of a task: the newest, and the one before in case the newest is torn
_CLAIM_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A claimed task, as its worker sees it."""

    task_id: int
    job_id: int
    epoch: int
    role: Role
    worker_id: int
    worker_name: str
    job_name: str
    spec: dict[str, Any]
    spec_digest: str
    params: dict[str, Any]
    folder: str  # relative; the only place where this attempt may write


def claim(session: Session, worker: Worker, hint: tuple[int, int] | None, folder: Callable[..., str]) -> Lease | None:
    """Claim the hinted (task id, dispatch_seq), or, when that is gone, the best task that waits for this device.

    `folder(job_id, task_id, epoch)` names the attempt's folder. None: nothing waits.
    """
    task = _claim_hinted(session, worker, *hint) if hint else None
    task = task or _claim_best(session, worker)
    if task is None:
        return None
    job = session.get_one(Job, task.job_id)
    settle_job(session, job, actor=worker.name)
    path = folder(task.job_id, task.id, task.lease_epoch)
    session.add(Attempt(task_id=task.id, lease_epoch=task.lease_epoch, worker_id=worker.id, folder=path))
    return Lease(
        task_id=task.id,
        job_id=task.job_id,
        epoch=task.lease_epoch,
        role=task.role,
        worker_id=worker.id,
        worker_name=worker.name,
        job_name=job.name,
        spec=job.spec,
        spec_digest=job.spec_digest,
        params=task.params,
        folder=path,
    )


def _claim_hinted(session: Session, worker: Worker, task_id: int, dispatch_seq: int) -> Task | None:
    return _claim_one(session, worker, task_id, Task.dispatch_seq == dispatch_seq)


def _claim_best(session: Session, worker: Worker) -> Task | None:
    waiting = select(Task.id).where(Task.state == State.QUEUED, *_claimable(worker.device.kind))
    for task_id in session.scalars(waiting.order_by(Task.priority.desc(), Task.id).limit(_CLAIM_TRIES)).all():
        task = _claim_one(session, worker, task_id)
        if task is not None:
            return task
    return None


def _claim_one(session: Session, worker: Worker, task_id: int, *where: ColumnElement[bool]) -> Task | None:
    job_id = session.scalar(select(Task.job_id).where(Task.id == task_id))
    if job_id is None:
        return None
    lock_job(session, job_id)
    return move_task(
        session,
        task_id,
        State.QUEUED,
        State.RUNNING,
        actor=worker.name,
        action="claim",
        where=(*where, *_claimable(worker.device.kind)),
        values={
            "lease_epoch": Task.lease_epoch + 1,
            "heartbeat_count": Task.heartbeat_count + 1,
            "worker_id": worker.id,
            "started_at": now(),
        },
    )


def _claimable(kind: DeviceKind) -> tuple[ColumnElement[bool], ...]:
    paused = exists().where(Queue.name == Task.queue, Queue.paused)
    cancelled = exists().where(Job.id == Task.job_id, Job.cancel_requested)
    return (~paused, ~cancelled, or_(Task.device_kind.is_(None), Task.device_kind == kind))


def _fence(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (Task.id == lease.task_id, Task.state == State.RUNNING, Task.lease_epoch == lease.epoch)


def heartbeat(session: Session, lease: Lease, progress: Mapping[str, Any] | None, done: int) -> bool:
    """Say that the lease is alive, store its progress, and give back whether someone asked to cancel the job.

    Raises LeaseLost.
    """
    values: dict[str, Any] = {"heartbeat_count": Task.heartbeat_count + 1}
    if progress is not None:
        values |= {"progress": dict(progress), "progress_done": done}
    statement = update(Task).where(*_fence(lease)).values(values).returning(Task.id)
    if session.scalar(statement) is None:
        raise _lost(lease)
    return bool(session.scalar(select(Job.cancel_requested).where(Job.id == lease.job_id)))


def _hold_fence(session: Session, lease: Lease) -> None:
    """Take the task's row for the rest of the transaction, so that no reaper moves it between fence and insert."""
    statement = update(Task).where(*_fence(lease)).values(heartbeat_count=Task.heartbeat_count + 1).returning(Task.id)
    if session.scalar(statement) is None:
        raise _lost(lease)


def publish_checkpoint(session: Session, lease: Lease, row: Checkpoint) -> list[str]:
    """Make a written checkpoint the one to resume from; gives the paths of those that are no longer needed.

    Raises LeaseLost.
    """
    _hold_fence(session, lease)
    of_kind = (Checkpoint.task_id == lease.task_id, Checkpoint.kind == row.kind)
    same = select(Checkpoint.id).where(*of_kind, Checkpoint.path == row.path, Checkpoint.sha256 == row.sha256)
    if session.scalar(same) is not None:
        return []  # the earlier commit went through, only its answer was lost
    session.add(row)
    session.flush()
    kept = KEPT_CHECKPOINTS if row.kind is CheckpointKind.LAST else 1
    newest = select(Checkpoint.id).where(*of_kind).order_by(Checkpoint.id.desc()).limit(kept)
    keep = session.scalars(newest).all()
    old = delete(Checkpoint).where(*of_kind, Checkpoint.id.not_in(keep)).returning(Checkpoint.path)
    dropped = set(session.scalars(old))
    # One file may be both the last and the best.
    needed = set(session.scalars(select(Checkpoint.path).where(Checkpoint.task_id == lease.task_id)))
    return sorted(dropped - needed)


def publish_shard(session: Session, lease: Lease, shard: Shard) -> None:
    """Add one finished shard to the output.  Raises LeaseLost."""
    _hold_fence(session, lease)
    present = select(Shard.id).where(Shard.job_id == lease.job_id, Shard.number == shard.number)
    if session.scalar(present) is None:
        session.add(shard)


def finish(
    session: Session,
    lease: Lease,
    outcome: Outcome,
    *,
    reason: FailureReason | None = None,
    message: str | None = None,
    done: int | None = None,
    publish: Callable[[Session], Mapping[str, Any]] | None = None,
) -> None:
    """End the lease: succeeded, failed or cancelled, with `done` images.

    `publish` adds what becomes visible in the same transaction, and gives the result to store with the task.

    Safe to repeat after a lost answer.  Raises LeaseLost.
    """
    target = {
        Outcome.SUCCEEDED: State.SUCCEEDED,
        Outcome.FAILED: State.FAILED,
        Outcome.CANCELLED: State.CANCELLED,
    }[outcome]
    values: dict[str, Any] = {"reason": reason, "message": message}
    if done is not None:
        values["progress_done"] = done
    if outcome is Outcome.FAILED:
        values["failures"] = Task.failures + 1
    if _end(session, lease, outcome, target, values, reason, message) and publish is not None:
        result = dict(publish(session))
        session.execute(update(Task).where(Task.id == lease.task_id).values(result=result))


def give_back(session: Session, lease: Lease) -> None:
    """Return a task that was stopped at a checkpoint, at once and not as a failure.  Raises LeaseLost."""
    values = {"preemptions": Task.preemptions + 1, **_REQUEUED}
    _end(session, lease, Outcome.PREEMPTED, State.PENDING, values, None, "its worker was told to stop")


def lose(session: Session, lease: Lease, message: str, *, max_lost_leases: int) -> None:
    """End a lease whose device process died: the task runs again, or fails when it has taken down too many."""
    job = lock_job(session, lease.job_id)
    lost = session.scalar(select(Task.lost_leases).where(*_fence(lease)))
    if lost is not None and lost + 1 >= max_lost_leases and not job.cancel_requested:
        reason = FailureReason.WORKER_LOST
        message = f"{message}; this has happened {lost + 1} times, so the task is not tried again"
        values: dict[str, Any] = {"lost_leases": lost + 1, "reason": reason, "message": message}
        _end(session, lease, Outcome.LOST, State.FAILED, values, reason, message)
    else:
        values = {"lost_leases": Task.lost_leases + 1, **_REQUEUED}
        _end(session, lease, Outcome.LOST, State.PENDING, values, None, message)


_REQUEUED: dict[str, Any] = {"dispatched_at": None, "worker_id": None}


def _end(
    session: Session,
    lease: Lease,
    outcome: Outcome,
    target: State,
    values: Mapping[str, Any],
    reason: FailureReason | None,
    message: str | None,
) -> bool:
    """Move the task and close its attempt; False when an earlier call had done it already."""
    job = lock_job(session, lease.job_id)
    if job.cancel_requested and target is State.PENDING:
        outcome, target, values = Outcome.CANCELLED, State.CANCELLED, {}
    task = move_task(
        session,
        lease.task_id,
        State.RUNNING,
        target,
        actor=lease.worker_name,
        action=outcome.value,
        detail=message,
        where=(Task.lease_epoch == lease.epoch,),
        values=values,
    )
    mine = (Attempt.task_id == lease.task_id, Attempt.lease_epoch == lease.epoch)
    if task is None:
        if session.scalar(select(Attempt.outcome).where(*mine)) is outcome:
            return False
        raise _lost(lease)
    closed = update(Attempt).where(*mine).values(outcome=outcome, reason=reason, message=message, finished_at=now())
    session.execute(closed)
    settle_job(session, job, actor=lease.worker_name)
    return True


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"task {lease.task_id} is no longer held under epoch {lease.epoch}")

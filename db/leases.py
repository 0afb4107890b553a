"""A worker's hold on a task: keep it, publish under it, end it.

Every write here carries the lease's epoch. A worker that was taken for dead and comes back holds an old epoch: its
writes match no row, it gets LeaseLost, and nothing that it made is published.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, bindparam, delete, select, type_coerce, update
from sqlalchemy.orm import Session

from db.moves import lock_job, move_task, settle_job
from db.statements import update_row
from db.tables.jobs import Attempt, Job, Outcome, Role, Task
from db.tables.published import Checkpoint, CheckpointKind, Shard
from db.types import now
from pixmill.errors import LeaseLost
from pixmill.states import FailureReason, State

KEPT_CHECKPOINTS = 2  # "last" ones of a task: the newest, and the one before in case the newest is torn
LONGEST_BACKOFF_SECONDS = 3600.0
JITTER = 0.2  # of a back-off, either way: what failed together does not come back together

_tasks: Any = Task.__table__
_jobs: Any = Job.__table__
_attempts: Any = Attempt.__table__
_NOW = now()
# The worker too: in a database that was restored from a copy, somebody else may come to hold the same epoch.
MY_EPOCH = (_tasks.c.lease_epoch == bindparam("of_epoch"), _tasks.c.worker_id == bindparam("of_worker"))
MINE = (_tasks.c.id == bindparam("of_task"), _tasks.c.state == State.RUNNING, *MY_EPOCH)
MY_ATTEMPT = (_attempts.c.task_id == bindparam("of_task"), _attempts.c.lease_epoch == bindparam("of_epoch"))
_BEAT = {"heartbeat_count": _tasks.c.heartbeat_count + 1}
_STOPS = (type_coerce(_tasks.c.stop_to, String).label("stop_to"),)  # any word is a wish
_ONE_MORE = {name: _tasks.c[name] + 1 for name in ("failures", "lost_leases", "preemptions")}


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
    queue: str
    user_name: str
    spec: dict[str, Any]
    spec_digest: str
    params: dict[str, Any]
    time_limit_seconds: float | None  # of this attempt
    checkpoint_floor: int  # checkpoints up to this row are not resumed from
    folder: str  # relative; the only place where this attempt may write
    trace_parent: str | None = None  # of the job, as W3C traceparent
    submitted_at: datetime | None = None


@dataclass(frozen=True)
class Orders:
    """What a running task's worker shall do with it."""

    cancel: bool
    stop: bool  # let it wait again, or be held


def lease_key(lease: Lease) -> dict[str, Any]:
    """What the fence asks for."""
    return {"of_task": lease.task_id, "of_epoch": lease.epoch, "of_worker": lease.worker_id}


def heartbeat(session: Session, lease: Lease, progress: Mapping[str, Any] | None, done: int) -> Orders:
    """Say that the lease is alive, store its progress, and give back what its worker shall do with it.

    Raises LeaseLost.
    """
    values: dict[str, Any] = dict(_BEAT)
    if progress is not None:
        values |= {"progress": dict(progress), "progress_done": done}
    row = update_row(session, _tasks, MINE, values, lease_key(lease), _STOPS)
    if row is None:
        raise lease_lost(lease)
    cancel = session.scalar(select(_jobs.c.cancel_requested).where(_jobs.c.id == lease.job_id))
    return Orders(cancel=bool(cancel), stop=row.stop_to is not None)


def _hold_fence(session: Session, lease: Lease) -> None:
    """Take the task's row for the rest of the transaction, so that no reaper moves it between fence and insert."""
    if update_row(session, _tasks, MINE, _BEAT, lease_key(lease), (_tasks.c.id,)) is None:
        raise lease_lost(lease)


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
    result: Mapping[str, Any] | None = None,
    publish: Callable[[Session], Mapping[str, Any]] | None = None,
) -> State:
    """End the lease: succeeded, failed or cancelled, with `done` images; gives where the task stands now.

    `result` is stored with the task; or `publish` adds what becomes visible in the same transaction, and gives it. A
    failure that may pass is tried again after a while, as long as retries are left: the task is pending then.

    Safe to repeat after a lost answer.  Raises LeaseLost.
    """
    values: dict[str, Any] = {"reason": reason, "message": message}
    if done is not None:
        values["progress_done"] = done
    if result is not None:
        values["result"] = dict(result)
    target = State(outcome.value)
    if outcome is Outcome.FAILED:
        values["failures"] = _ONE_MORE["failures"]
        retry = _retry(session, lease, reason)
        if retry is not None:
            target, values = State.PENDING, values | retry
    if not _end(session, lease, outcome, target, values, reason, message):
        return target
    if publish is not None:
        published = dict(publish(session))
        session.execute(update(_tasks).where(_tasks.c.id == lease.task_id).values(result=published))
    return target


def _retry(session: Session, lease: Lease, reason: FailureReason | None) -> dict[str, Any] | None:
    """What makes the task wait for its next attempt; None when it has had its last."""
    if reason is None or not reason.is_retried:
        return None
    columns = (_tasks.c.failures, _tasks.c.excused_failures, _tasks.c.retries, _tasks.c.retry_seconds)
    row = session.execute(select(*columns, now().label("at")).where(*MINE), lease_key(lease)).one_or_none()
    if row is None or row.failures - row.excused_failures >= row.retries:
        return None
    seconds = backoff_seconds(row.retry_seconds, row.failures - row.excused_failures)
    return {**_REQUEUED, "available_at": row.at + timedelta(seconds=seconds * random.uniform(1 - JITTER, 1 + JITTER))}


def backoff_seconds(first: float, earlier_failures: int) -> float:
    """How long a task waits after a failure, without the jitter.

    >>> [backoff_seconds(30.0, failures) for failures in range(3)]
    [30.0, 60.0, 120.0]
    """
    return float(min(LONGEST_BACKOFF_SECONDS, first * 2.0 ** min(earlier_failures, 30)))


def give_back(session: Session, lease: Lease, why: str = "its worker was told to stop") -> None:
    """Return a task that was stopped at a checkpoint, at once and not as a failure.  Raises LeaseLost."""
    wanted = session.scalar(select(_tasks.c.stop_to).where(*MINE), lease_key(lease))
    values = {"preemptions": _ONE_MORE["preemptions"], **_REQUEUED}
    if wanted is not None:
        why = "an operator had it stopped"
    _end(session, lease, Outcome.PREEMPTED, wanted or State.PENDING, values, None, why)


def lose(
    session: Session,
    lease: Lease,
    message: str,
    *,
    reason: FailureReason = FailureReason.WORKER_LOST,
    max_lost_leases: int,
) -> None:
    """End a lease whose device process died: the task runs again, or fails when it has taken down too many.

    Safe to repeat after a lost answer.  Raises LeaseLost.
    """
    target, values, message = after_loss(session, lease.task_id, reason, message, max_lost_leases=max_lost_leases)
    _end(session, lease, Outcome.LOST, target, values, reason if target is State.FAILED else None, message)


def after_loss(
    session: Session, task_id: int, reason: FailureReason, message: str, *, max_lost_leases: int
) -> tuple[State, dict[str, Any], str]:
    """Where a task goes whose lease was lost, what changes in its row, and why."""
    columns = (_tasks.c.lost_leases, _tasks.c.excused_lost_leases, _tasks.c.stop_to)
    row = session.execute(select(*columns).where(_tasks.c.id == task_id)).one()
    lost = row.lost_leases - row.excused_lost_leases + 1
    values: dict[str, Any] = {"lost_leases": _ONE_MORE["lost_leases"]}
    if lost < max_lost_leases:
        return row.stop_to or State.PENDING, {**values, **_REQUEUED}, message
    message = f"{message}; this has happened {lost} times, so the task is not tried again"
    return State.FAILED, {**values, "reason": reason, "message": message}, message


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
    if job.cancel_requested and (outcome is Outcome.LOST or target in (State.PENDING, State.HELD)):
        outcome, target, values = Outcome.CANCELLED, State.CANCELLED, {}
    task = move_task(
        session,
        lease.task_id,
        State.RUNNING,
        target,
        actor=lease.worker_name,
        action=outcome.value,
        detail=message,
        where=MY_EPOCH,
        parameters=lease_key(lease),
        values=values,
        is_waited_for=job.is_waited_for,
    )
    if task is None:
        if session.scalar(select(_attempts.c.outcome).where(*MY_ATTEMPT), lease_key(lease)) is outcome:
            return False
        raise lease_lost(lease)
    closed = {"outcome": outcome, "reason": reason, "message": message, "finished_at": _NOW}
    update_row(session, _attempts, MY_ATTEMPT, closed, lease_key(lease))
    settle_job(session, job, actor=lease.worker_name, just_moved={lease.task_id: target})
    return True


def lease_lost(lease: Lease) -> LeaseLost:
    """What is raised when the fence holds a lease back."""
    return LeaseLost(f"task {lease.task_id} is no longer held under epoch {lease.epoch}")

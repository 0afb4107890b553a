"""What operators do to jobs, devices and workers. Every act is an event that says who, and why."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from db.engine import insert_absent
from db.finding import get_job
from db.jobs import ended
from db.moves import WAITING, LockedJob, add_event, lock_job, move_task, settle_job
from db.order import rank_of
from db.outputs import removal_of
from db.tables.fleet import Device, Worker
from db.tables.jobs import Account, Attempt, Job, JobDependency, Outcome, Queue, Role, Task
from db.tables.published import Checkpoint, CheckpointKind
from db.types import now
from db.versions import hold_versions
from pixmill.errors import Conflict, InvalidMove, NotFound
from pixmill.modelkeys import models_of
from pixmill.states import ACTIVE, TERMINAL, State

_tasks: Any = Task.__table__
_EXCUSED = {"excused_failures": _tasks.c.failures, "excused_lost_leases": _tasks.c.lost_leases}


class CheckpointChoice(StrEnum):
    """Where a retried train job goes on."""

    LAST = "last"
    BEST = "best"
    NONE = "none"  # from the start


def hold_job(session: Session, job_id: int, *, actor: str, why: str | None = None) -> State:
    """Let nothing more of the job start until it is released; gives its state afterwards.

    What runs goes on.  Raises InvalidMove when nothing of it waits.
    """
    job = lock_job(session, job_id)
    waiting = _tasks_in(session, job_id, (State.PENDING, State.QUEUED))
    if not waiting:
        hint = f"pixmill job requeue {job_id} --hold" if job.state is State.RUNNING else None
        raise InvalidMove(f"job {job_id} {_is(job)}; nothing of it waits that could be held", hint=hint)
    for task_id, state in waiting:
        move_task(session, task_id, state, State.HELD, actor=actor, action="hold", detail=why)
    return settle_job(session, job, actor=actor)


def release_job(session: Session, job_id: int, *, actor: str, why: str | None = None) -> None:
    """Let a held job go on.  Raises InvalidMove unless something of it is held."""
    job = lock_job(session, job_id)
    held = _tasks_in(session, job_id, (State.HELD,))
    if not held:
        raise InvalidMove(f"job {job_id} {_is(job)}, not held")
    for task_id, _state in held:
        move_task(session, task_id, State.HELD, State.PENDING, actor=actor, action="release", detail=why)
    settle_job(session, job, actor=actor)


def cancel_job(session: Session, job_id: int, *, actor: str, why: str | None = None, force: bool = False) -> State:
    """Cancel what waits and ask running tasks to stop; gives the job's state afterwards.

    With `force` running tasks are taken from their workers at once, whether these answer or not: they find their
    lease gone with the next heartbeat. A job that has ended is left as it is: InvalidMove says how it ended.
    """
    job = lock_job(session, job_id)
    if job.state in TERMINAL:
        raise InvalidMove(f"job {job_id} has already {ended(job.state)}; it cannot be cancelled")
    if not job.cancel_requested:
        session.execute(update(Job).where(Job.id == job_id).values(cancel_requested=True))
    action = "cancel --force" if force else "cancel"
    add_event(session, actor=actor, action=action, detail=why, job_id=job_id, from_state=job.state.value)
    for task_id, state in _tasks_in(session, job_id, WAITING):
        _cancel(session, task_id, state, actor, why)
    if force:
        for task_id, state in _tasks_in(session, job_id, (State.RUNNING,)):
            _cancel(session, task_id, state, actor, why)
            open_attempt = (Attempt.task_id == task_id, Attempt.outcome.is_(None))
            closed = {"outcome": Outcome.CANCELLED, "message": "cancelled by force", "finished_at": now()}
            session.execute(update(Attempt).where(*open_attempt).values(closed))
    return settle_job(session, job, actor=actor)


def _cancel(session: Session, task_id: int, state: State, actor: str, why: str | None) -> None:
    values = {"reason": None, "message": why}
    move_task(session, task_id, state, State.CANCELLED, actor=actor, action="cancel", detail=why, values=values)


def requeue_job(session: Session, job_id: int, *, actor: str, why: str | None = None, hold: bool = False) -> State:
    """Ask the job's running tasks to stop at a checkpoint and to wait again, held with `hold`; gives its state now.

    Raises InvalidMove when none runs.
    """
    job = lock_job(session, job_id)
    running = [task_id for task_id, _state in _tasks_in(session, job_id, (State.RUNNING,))]
    if not running or job.cancel_requested:
        raise InvalidMove(f"job {job_id} {_is(job)}; nothing of it can be requeued")
    _ask_to_stop(session, running, State.HELD if hold else State.PENDING)
    action = "requeue --hold" if hold else "requeue"
    add_event(session, actor=actor, action=action, detail=why, job_id=job_id)
    if hold:
        for task_id, state in _tasks_in(session, job_id, (State.PENDING, State.QUEUED)):
            move_task(session, task_id, state, State.HELD, actor=actor, action="hold", detail=why)
    return settle_job(session, job, actor=actor)


def retry_job(
    session: Session,
    job_id: int,
    *,
    actor: str,
    why: str | None = None,
    start: CheckpointChoice = CheckpointChoice.LAST,
) -> None:
    """Run what failed or was cancelled again; what has succeeded, published shards among it, is kept.

    Raises InvalidMove unless the job has failed or was cancelled; Conflict when a job that it waits for has not
    succeeded either, when a model that it names was removed, or when there is nothing to start from as asked.
    """
    job = lock_job(session, job_id)
    if job.state not in (State.FAILED, State.CANCELLED):
        raise InvalidMove(f"job {job_id} {_is(job)}; only a failed or cancelled job can be retried")
    if removal_of(session, job_id) is not None:
        hint = f"submit it anew: pixmill job show {job_id} --spec | pixmill submit -f -"
        raise InvalidMove(f"what job {job_id} had published was removed; it cannot go on from there", hint=hint)
    _require_parents(session, job_id)
    other = f"submit it anew with another model: pixmill job show {job_id} --spec"
    hold_versions(session, models_of(get_job(session, job_id).spec), hint=other)
    reset = {"cancel_requested": False, "finished_at": None, "reason": None, "message": None}
    session.execute(update(Job).where(Job.id == job_id).values(reset))
    add_event(session, actor=actor, action=f"retry --from {start}", detail=why, job_id=job_id)
    for task_id, state in _tasks_in(session, job_id, (State.FAILED, State.CANCELLED)):
        floor = _checkpoint_floor(session, task_id, start)
        values = {
            "available_at": None,
            "finished_at": None,
            "reason": None,
            "message": None,
            "dispatched_at": None,
            "worker_id": None,
            **_EXCUSED,
            "checkpoint_floor": floor,
        }
        move_task(session, task_id, state, State.PENDING, actor=actor, action="retry", detail=why, values=values)
    settle_job(session, LockedJob(job_id, job.state, cancel_requested=False), actor=actor)


def _require_parents(session: Session, job_id: int) -> None:
    statement = (
        select(Job.id, Job.state)
        .join(JobDependency, JobDependency.parent_id == Job.id)
        .where(JobDependency.job_id == job_id, ~JobDependency.any_outcome)
        .where(Job.state.in_([State.FAILED, State.CANCELLED]))
        .order_by(Job.id)
        .limit(1)
    )
    parent = session.execute(statement).one_or_none()
    if parent is not None:
        raise Conflict(
            f"job {job_id} waits for job {parent.id}, which has {ended(parent.state)}",
            hint=f"pixmill job retry {parent.id}",
        )


def _checkpoint_floor(session: Session, task_id: int, start: CheckpointChoice) -> int:
    """Older checkpoints than this row are not resumed from."""
    task = session.execute(select(Task.role, Task.job_id, Task.checkpoint_floor).where(Task.id == task_id)).one()
    if start is CheckpointChoice.LAST:
        return int(task.checkpoint_floor)
    if task.role is not Role.TRAIN:
        raise Conflict(f"job {task.job_id} has no checkpoints to choose from; what it has published is kept")
    newest = session.scalar(select(func.max(Checkpoint.id)).where(Checkpoint.task_id == task_id)) or 0
    if start is CheckpointChoice.BEST:
        _resume_from_best(session, task_id, task.job_id)
    return int(newest)


def _resume_from_best(session: Session, task_id: int, job_id: int) -> None:
    of_kind = (Checkpoint.task_id == task_id, Checkpoint.kind == CheckpointKind.BEST)
    best = session.scalars(select(Checkpoint).where(*of_kind).order_by(Checkpoint.id.desc()).limit(1)).one_or_none()
    if best is None:
        raise Conflict(
            f"job {job_id} has no best checkpoint: its quality was never measured",
            hint=f"pixmill job retry {job_id} --from last",
        )
    copied = ("task_id", "lease_epoch", "images_seen", "metric_value", "path", "sha256", "size_bytes")
    values: dict[str, Any] = {name: getattr(best, name) for name in copied}
    session.add(Checkpoint(**values, kind=CheckpointKind.LAST))
    session.flush()


def set_job(
    session: Session,
    job_id: int,
    *,
    actor: str,
    why: str | None = None,
    priority: int | None = None,
    queue: str | None = None,
    time_limit_seconds: float | None = None,
) -> None:
    """Change how an unfinished job is queued.  Raises InvalidMove when it has ended."""
    job = _unfinished(session, job_id)
    row = get_job(session, job_id)
    changes: dict[str, Any] = {}
    if priority is not None:
        changes |= {"priority": priority, "rank": rank_of(row.submitted_at, priority)}
    if queue is not None:
        insert_absent(session, Queue, {"name": queue})
        insert_absent(session, Account, {"queue": queue, "user_name": row.user_name})
        changes["queue"] = queue
    if time_limit_seconds is not None:
        changes["time_limit_seconds"] = time_limit_seconds
    session.execute(update(Task).where(Task.job_id == job_id, Task.state.in_(ACTIVE)).values(changes))
    of_job = {name: value for name, value in changes.items() if name in {"priority", "queue"}}
    options = {name: value for name, value in changes.items() if name != "rank"}
    session.execute(update(Job).where(Job.id == job_id).values(**of_job, options={**row.options, **options}))
    told = ", ".join(f"{name} {value}" for name, value in options.items())
    add_event(session, actor=actor, action="set", detail=f"{told}: {why}" if why else told, job_id=job.id)


def top_job(session: Session, job_id: int, *, actor: str, why: str | None = None) -> None:
    """Put what waits of the job ahead of all that waits in its queue.  Raises InvalidMove when it has ended."""
    job = _unfinished(session, job_id)
    queue = select(Job.queue).where(Job.id == job_id).scalar_subquery()
    first = select(func.min(Task.rank)).where(Task.queue == queue, Task.state.in_(WAITING))
    rank = session.scalar(first)
    if rank is not None:
        session.execute(update(Task).where(Task.job_id == job_id, Task.state.in_(ACTIVE)).values(rank=rank - 1))
    add_event(session, actor=actor, action="top", detail=why, job_id=job.id)


def drain_device(session: Session, device_id: int, *, actor: str, why: str, now: bool = False) -> bool:
    """Let nothing more start on the device; with `now` what runs there is requeued.  False if it was drained before.

    Raises NotFound.
    """
    device = session.get(Device, device_id, with_for_update=True)
    if device is None:
        raise NotFound(f"there is no device {device_id}", hint="pixmill device ls")
    changed = not device.drained
    device.drained, device.drain_reason = True, why
    if now:
        there = Task.worker_id.in_(select(Worker.id).where(Worker.device_id == device_id))
        requeue_running(session, there, actor=actor, why=why)
    add_event(session, actor=actor, action="drain_device", detail=f"{device.host}:{device.name}: {why}")
    return changed


def resume_device(session: Session, device_id: int, *, actor: str, why: str | None = None) -> bool:
    """Let tasks start on the device again; False if it was not drained.  Raises NotFound."""
    device = session.get(Device, device_id, with_for_update=True)
    if device is None:
        raise NotFound(f"there is no device {device_id}", hint="pixmill device ls")
    changed, device.drained, device.drain_reason = device.drained, False, None
    name = f"{device.host}:{device.name}"
    add_event(session, actor=actor, action="resume_device", detail=f"{name}: {why}" if why else name)
    return changed


def drain_worker(session: Session, worker_id: int, *, actor: str, why: str, now: bool = False) -> bool:
    """Let the worker take no more tasks; with `now` what it runs is requeued.  False if it was drained before.

    Raises NotFound; Conflict when it has ended.
    """
    worker = _present_worker(session, worker_id)
    changed = not worker.draining
    worker.draining, worker.drain_reason = True, why
    if now:
        requeue_running(session, Task.worker_id == worker_id, actor=actor, why=why)
    add_event(session, actor=actor, action="drain_worker", detail=f"{worker.name} ({worker_id}): {why}")
    return changed


def resume_worker(session: Session, worker_id: int, *, actor: str, why: str | None = None) -> bool:
    """Let the worker take tasks again; False if it was not drained.  Raises NotFound; Conflict when it has ended."""
    worker = _present_worker(session, worker_id)
    changed, worker.draining, worker.drain_reason = worker.draining, False, None
    name = f"{worker.name} ({worker_id})"
    add_event(session, actor=actor, action="resume_worker", detail=f"{name}: {why}" if why else name)
    return changed


def _present_worker(session: Session, worker_id: int) -> Worker:
    worker = session.get(Worker, worker_id, with_for_update=True)
    if worker is None:
        raise NotFound(f"there is no worker {worker_id}", hint="pixmill worker ls")
    if worker.stopped_at is not None:
        raise Conflict(f"worker {worker.name} ({worker_id}) has ended", hint="pixmill device drain keeps a device free")
    return worker


def requeue_running(session: Session, which: ColumnElement[bool], *, actor: str, why: str) -> None:
    """Ask all of these tasks that run to stop at a checkpoint, and to wait again."""
    running = select(Task.id, Task.job_id).where(Task.state == State.RUNNING, which)
    found = session.execute(running).all()
    _ask_to_stop(session, [task_id for task_id, _job_id in found], State.PENDING)
    for task_id, job_id in found:
        add_event(session, actor=actor, action="requeue", detail=f"drained: {why}", job_id=job_id, task_id=task_id)


def _ask_to_stop(session: Session, task_ids: Iterable[int], stop_to: State) -> None:
    """Their workers read it with the next heartbeat."""
    still = (Task.id.in_(task_ids), Task.state == State.RUNNING)
    session.execute(update(Task).where(*still).values(stop_to=stop_to))


def _tasks_in(session: Session, job_id: int, states: Iterable[State]) -> list[tuple[int, State]]:
    statement = select(Task.id, Task.state).where(Task.job_id == job_id, Task.state.in_(states)).order_by(Task.id)
    return [(task_id, state) for task_id, state in session.execute(statement)]


def _unfinished(session: Session, job_id: int) -> LockedJob:
    job = lock_job(session, job_id)
    if job.state in TERMINAL:
        raise InvalidMove(f"job {job_id} has {ended(job.state)}; it is not queued any more")
    return job


def _is(job: LockedJob) -> str:
    if job.state in TERMINAL:
        return f"has {ended(job.state)}"
    return "is being cancelled" if job.cancel_requested else f"is {job.state}"

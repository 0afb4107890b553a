"""How a worker gets a task: the hinted one, or the best that waits, by one statement that nobody else can win too."""

from collections.abc import Callable, Collection, Iterator
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import Session

from db.corrupt import corrupt_rows, sound_rows
from db.lanes import Slot, array_room, lock_arrays, runs_on
from db.leases import Lease
from db.moves import LockedJob, add_event, move_task, start_job
from db.order import ready_tasks
from db.statements import fetch, insert_row, update_row
from db.tables.fleet import Device, Worker
from db.tables.jobs import Attempt, Job, Queue, Task
from db.taken import unused_epoch
from db.timeline import STEPPED
from db.types import now
from pixmill.errors import CorruptRow
from pixmill.states import State
from pixmill.traces import trace_id

CLAIM_TRIES = 5

_tasks: Any = Task.__table__
_jobs: Any = Job.__table__
_queues: Any = Queue.__table__
_attempts: Any = Attempt.__table__
# What a claim has to know of a task, its job and its queue.
FACTS: tuple[Any, ...] = (
    *(_tasks.c[name] for name in ("job_id", "queue", "user_name", "role", "params", "time_limit_seconds")),
    *(_tasks.c[name] for name in ("checkpoint_floor", "limited_by")),
    *(_jobs.c[name] for name in ("name", "spec", "spec_digest", "cancel_requested")),
    *(_jobs.c[name] for name in ("trace_parent", "submitted_at")),
    _jobs.c.state.label("job_state"),
    *(_queues.c[name] for name in ("paused", "max_running", "max_running_per_user")),
)
WITH_JOB_AND_QUEUE = _tasks.join(_jobs, _jobs.c.id == _tasks.c.job_id).join(_queues, _queues.c.name == _tasks.c.queue)
_THIS_TASK = (_tasks.c.id == bindparam("of_task"),)
_HINTED = (_tasks.c.dispatch_seq == bindparam("hinted_seq"),)
CLAIMED = {
    "lease_epoch": _tasks.c.lease_epoch + 1,
    "heartbeat_count": _tasks.c.heartbeat_count + 1,
    "started_at": now(),
}


def claim(
    session: Session, worker: Worker, hint: tuple[int, int] | None, folder: Callable[..., str], *, patient: bool = True
) -> Lease | None:
    """Claim the hinted (task id, dispatch_seq), or, when that is gone, the best task that waits for this device.

    `folder(job_id, task_id, epoch)` names the attempt's folder. None: nothing waits. A caller that holds a job's lock
    must not be `patient`: what belongs to a job that somebody else has locked is passed over then, so that nobody waits
    in a ring.
    """
    for task_id, source, dispatch_seq in _candidates(session, worker, hint):
        lease = _claim_one(session, worker, task_id, source, dispatch_seq, folder, patient=patient)
        if lease is not None:
            return lease
    return None


def slot_of(worker: Worker) -> Slot:
    """What the worker can run."""
    return Slot(worker.device.kind, worker.device.width)


def unanswered_claims(session: Session, worker: Worker, known: Collection[tuple[int, int]]) -> list[Lease]:
    """What this worker, which runs nothing, has claimed without hearing so: the answer to a commit can be lost.

    `known` are (task id, epoch) of leases that it did hear of, and could not bring to an end.
    """
    leases = []
    for held in fetch(session, _held_statement(), {"worker_id": worker.id}):
        if (held.id, held.lease_epoch) not in known:
            facts = _facts(session, held.id, patient=True)
            leases += [lease_of(row, worker, held.id, held.lease_epoch, held.folder) for row in facts]
    return leases


@cache
def _held_statement() -> "Select[Any]":
    attempt = (_attempts.c.task_id == _tasks.c.id, _attempts.c.lease_epoch == _tasks.c.lease_epoch)
    held = select(_tasks.c.id, _tasks.c.lease_epoch, _attempts.c.folder).join(_attempts, and_(*attempt))
    mine = (_tasks.c.state == State.RUNNING, _tasks.c.worker_id == bindparam("worker_id"))
    return held.where(*mine).order_by(_tasks.c.rank, _tasks.c.id)


def _candidates(
    session: Session, worker: Worker, hint: tuple[int, int] | None
) -> Iterator[tuple[int, State, int | None]]:
    """(task id, its state, its dispatch_seq or None for any), each found only when those before were gone."""
    if hint is not None:
        yield hint[0], State.QUEUED, hint[1]
    slot = slot_of(worker)
    for row in sound_rows(session, queued_statement(), {"count": CLAIM_TRIES, **slot._asdict()}):
        yield row.id, State.QUEUED, None
    # Nobody was woken for these yet; but this worker is free, so no wake-up is needed.
    for ready in ready_tasks(session, slot, CLAIM_TRIES):
        yield ready.task_id, State.PENDING, None


@cache
def queued_statement() -> "Select[Any]":
    """The `count` best tasks that somebody was woken for, for a worker with `width` devices of this `kind`."""
    suited = runs_on(bindparam("kind"), bindparam("width"))
    queued = select(_tasks.c.id).where(_tasks.c.state == State.QUEUED, suited)
    return queued.order_by(_tasks.c.rank, _tasks.c.id).limit(bindparam("count"))


def _claim_one(
    session: Session,
    worker: Worker,
    task_id: int,
    source: State,
    dispatch_seq: int | None,
    folder: Callable[..., str],
    *,
    patient: bool,
) -> Lease | None:
    facts = _facts(session, task_id, patient=patient)
    if not facts or facts[0].cancel_requested or facts[0].paused:
        return None
    row = facts[0]
    if row.max_running is not None or row.max_running_per_user is not None:
        # One claim after the other: two at once would each find room for one more.
        session.execute(select(_queues.c.name).where(_queues.c.name == row.queue).with_for_update(key_share=True))
    hinted = () if dispatch_seq is None else _HINTED
    in_array, of_array = _in_array(session, row, source)
    task = move_task(
        session,
        task_id,
        source,
        State.RUNNING,
        actor=worker.name,
        action="claim",
        where=(*hinted, *claimable(worker.id, slot_of(worker)), *_within_limits(row), *in_array),
        parameters=of_array if dispatch_seq is None else {"hinted_seq": dispatch_seq, **of_array},
        values={**CLAIMED, "worker_id": worker.id},
    )
    if task is None:
        return None
    start_job(session, LockedJob(row.job_id, row.job_state, cancel_requested=False))
    lease = new_lease(session, row, worker, task.id, task.lease_epoch, folder)
    insert_row(session, _attempts, new_attempt(lease))
    return lease


def _facts(session: Session, task_id: int, *, patient: bool) -> list[Any]:
    """What a claim has to know of the task; nothing where that cannot be read, whose job is noted as corrupt."""

    def told(row: Any, error: CorruptRow) -> None:
        corrupt_rows(session).note_job(row.job_id, f"task {task_id} of job {row.job_id}", error)

    return sound_rows(session, _facts_statement(patient=patient), {"task_id": task_id}, told)


def new_lease(
    session: Session, row: Any, worker: Worker, task_id: int, epoch: int, folder: Callable[..., str]
) -> Lease:
    """The lease of a task that was just claimed, in a folder where nothing lies.

    Something lies there after the database was restored from a copy: then the epoch goes on above that.
    """
    path = folder(row.job_id, task_id, epoch)
    unused = unused_epoch(session, path, epoch)
    if unused != epoch:
        update_row(session, _tasks, _THIS_TASK, {"lease_epoch": unused}, {"of_task": task_id})
        detail = f"{path} is there already, by a database that was later than this one; attempt {unused} is the next"
        about = {"job_id": row.job_id, "task_id": task_id}
        add_event(session, actor=worker.name, action=STEPPED, detail=detail, **about)
        path = folder(row.job_id, task_id, unused)
    return lease_of(row, worker, task_id, unused, path)


def new_attempt(lease: Lease) -> dict[str, Any]:
    """The row that records the beginning of a lease."""
    about = {"task_id": lease.task_id, "lease_epoch": lease.epoch}
    return {**about, "worker_id": lease.worker_id, "folder": lease.folder}


def lease_of(row: Any, worker: Worker, task_id: int, epoch: int, folder: str) -> Lease:
    """The lease of a task of which `row` gives the facts."""
    return Lease(
        task_id=task_id,
        job_id=row.job_id,
        epoch=epoch,
        role=row.role,
        worker_id=worker.id,
        worker_name=worker.name,
        job_name=row.name,
        queue=row.queue,
        user_name=row.user_name,
        spec=row.spec,
        spec_digest=row.spec_digest,
        params=row.params,
        time_limit_seconds=row.time_limit_seconds,
        checkpoint_floor=row.checkpoint_floor,
        folder=folder,
        trace_parent=row.trace_parent if trace_id(row.trace_parent) else None,
        submitted_at=row.submitted_at,
    )


@cache
def _facts_statement(*, patient: bool) -> "Select[Any]":
    """What a claim has to know of the task, its job and its queue; locks the job as `lock_job` does.

    No row: the task is gone, or, where this is not patient, its job is locked by somebody else.
    """
    facts = select(*FACTS).select_from(WITH_JOB_AND_QUEUE).where(_tasks.c.id == bindparam("task_id"))
    return facts.with_for_update(key_share=True, of=_jobs, skip_locked=not patient)


@lru_cache(maxsize=16)  # a worker parent has one
def claimable(worker_id: int, slot: Slot) -> tuple[ColumnElement[bool], ...]:
    """Asked again in the very statement that claims: any of it may have changed a moment ago."""
    paused = exists().where(_queues.c.name == _tasks.c.queue, _queues.c.paused)
    cancelled = exists().where(_jobs.c.id == _tasks.c.job_id, _jobs.c.cancel_requested)
    mine = (Worker.id == worker_id, Device.id == Worker.device_id)
    drained = exists().where(*mine, or_(Worker.draining, Device.drained))
    due = or_(_tasks.c.available_at.is_(None), _tasks.c.available_at <= now())
    return (~paused, ~cancelled, ~drained, due, runs_on(*slot))


def _within_limits(row: Any) -> Iterator[ColumnElement[bool]]:
    """Its queue runs fewer tasks than it may; the queue's row is locked."""
    if row.max_running is not None:
        yield _running(row.queue) < row.max_running
    if row.max_running_per_user is not None:
        yield _running(row.queue, row.user_name) < row.max_running_per_user


def _in_array(session: Session, row: Any, source: State) -> tuple[tuple[ColumnElement[bool], ...], dict[str, int]]:
    """Its array has room for its job: the condition, and its parameters; locks the array's row if it has a limit."""
    if row.limited_by is None:
        return (), {}
    lock_arrays(session, [row.limited_by])
    return (array_room(source),), {"of_array": row.limited_by, "of_job": row.job_id}


def _running(queue: str, user: str | None = None) -> "ScalarSelect[int]":
    other = _tasks.alias()
    counted = select(func.count()).where(other.c.state == State.RUNNING, other.c.queue == queue)
    return (counted if user is None else counted.where(other.c.user_name == user)).scalar_subquery()

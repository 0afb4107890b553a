"""Where a task changes its state, and its job's state follows; for many short ones at once it is `db.handfuls`.

Lock order: a transaction that moves tasks locks their job's row first (PostgreSQL; SQLite has one writer at a time),
so two tasks that finish at the same moment cannot each miss the other.

What stands here runs several times for every task, millions of times in a night: it reads the columns that it needs
and no objects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, exists, func, or_, select
from sqlalchemy.orm import Session

from db.corrupt import of_job, sound_rows
from db.dependencies import unblock_children_of_job, unblock_children_of_task
from db.finding import LARGEST_ID
from db.statements import Condition, fetch, insert_rows, update_row
from db.tables.jobs import Event, Job, JobDependency, Task
from db.telling import tell_failed
from db.types import among, now
from pixmill.errors import NotFound
from pixmill.states import TERMINAL, State, check_move, job_state

WAITING = (State.PENDING, State.HELD, State.QUEUED)

_jobs: Any = Job.__table__
_tasks: Any = Task.__table__
_events: Any = Event.__table__
_job_edges: Any = JobDependency.__table__
_NOW = now()
_STANDS = (_tasks.c.id == bindparam("of_task"), _tasks.c.state == bindparam("source"))
_MOVED = (_tasks.c.id, _tasks.c.job_id, _tasks.c.dispatch_seq, _tasks.c.lease_epoch)
_THIS_JOB = (_jobs.c.id == bindparam("of_job"),)
THESE_TASKS = among(_tasks.c.id, "task_ids")
THESE_JOBS = (among(_jobs.c.id, "job_ids"),)
STARTED = func.coalesce(_jobs.c.started_at, _NOW)


@dataclass(frozen=True)
class LockedJob:
    """A job whose row is locked until the transaction ends, as it was then."""

    id: int
    state: State
    cancel_requested: bool
    has_one_task: bool = False
    is_waited_for: bool = True  # by another job, or one of its tasks by another one, as far as is known


@dataclass(frozen=True)
class Moved:
    """A task that has just been moved."""

    id: int
    job_id: int
    dispatch_seq: int
    lease_epoch: int


def lock_job(session: Session, job_id: int) -> LockedJob:
    """Lock the job's row.  Raises NotFound or CorruptRow."""
    found = fetch(session, _lock_statement(), {"job_ids": [job_id]}) if job_id <= LARGEST_ID else []
    if not found:
        raise NotFound(f"there is no job {job_id}", hint="pixmill ps --all")
    return LockedJob(*found[0])


def lock_jobs(session: Session, job_ids: Sequence[int]) -> dict[int, LockedJob]:
    """Lock the rows of jobs, one after the other in the order of their ids, so that nobody waits in a ring.

    What is gone is left out, and what cannot be read, which is noted.
    """
    found = sound_rows(session, _lock_statement(), {"job_ids": job_ids}, of_job(session))
    return {row.id: LockedJob(*row) for row in found}


@cache
def _lock_statement() -> "Select[Any]":
    # key_share: rows that merely refer to the job (shards, children) can still be added meanwhile.
    other_tasks = exists().where(_tasks.c.job_id == _jobs.c.id, _tasks.c.number > 0)
    other_jobs = exists().where(_job_edges.c.parent_id == _jobs.c.id)
    # A job's tasks wait for each other alone.
    columns = select(
        _jobs.c.id,
        _jobs.c.state,
        _jobs.c.cancel_requested,
        (~other_tasks).label("has_one_task"),
        or_(other_jobs, other_tasks).label("is_waited_for"),
    )
    return columns.where(among(_jobs.c.id, "job_ids")).order_by(_jobs.c.id).with_for_update(key_share=True)


def add_event(
    session: Session, *, actor: str, action: str, detail: str | None = None, job_id: int | None = None, **more: Any
) -> None:
    """Record who did what, and why; `more` are task_id, from_state and to_state."""
    add_events(session, [{"actor": actor, "action": action, "detail": detail, "job_id": job_id, **more}])


def add_events(session: Session, events: Sequence[Mapping[str, Any]]) -> None:
    """Record events that all name the same columns."""
    insert_rows(session, _events, events)


def task_event(
    actor: str, action: str, detail: str | None, job_id: int, task_id: int, source: State, target: State
) -> dict[str, Any]:
    """The event of a task that moves."""
    about = {"actor": actor, "action": action, "detail": detail, "job_id": job_id, "task_id": task_id}
    return {**about, "from_state": source.value, "to_state": target.value}


def job_event(actor: str, job: "LockedJob", target: State) -> dict[str, Any]:
    """The event of a job that ends, with the columns of a task's."""
    about = {"actor": actor, "action": target.value, "detail": None, "job_id": job.id, "task_id": None}
    return {**about, "from_state": job.state.value, "to_state": target.value}


def move_task(
    session: Session,
    task_id: int,
    source: State,
    target: State,
    *,
    actor: str,
    action: str,
    detail: str | None = None,
    where: Sequence[Condition] = (),
    parameters: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    is_waited_for: bool = True,
) -> Moved | None:
    """Move one task by compare-and-set and record the event; None when it is no longer as `source` and `where` say.

    `parameters` fill the bound parameters of `where`; `is_waited_for` is that of the job. The caller holds the job's
    lock and calls `settle_job` when its moves are made.  Raises InvalidMove.
    """
    check_move(f"task {task_id}", source, target)
    changes: dict[str, Any] = {"state": target, **(values or {})}
    if source is State.RUNNING:
        changes["stop_to"] = None  # an operator's wish to stop it is fulfilled, however it stopped
    if target in TERMINAL:
        changes.setdefault("finished_at", _NOW)
    stands = {"of_task": task_id, "source": source, **(parameters or {})}
    row = update_row(session, _tasks, (*_STANDS, *where), changes, stands, _MOVED)
    if row is None:
        return None
    task = Moved(*row)
    add_events(session, [task_event(actor, action, detail, task.job_id, task_id, source, target)])
    if target is State.SUCCEEDED and is_waited_for:
        unblock_children_of_task(session, task_id)
    return task


def start_job(session: Session, job: LockedJob) -> None:
    """Make the row of a job follow a task that has just begun to run: all that `settle_job` would do then."""
    if job.state is not State.RUNNING:
        running = {"state": State.RUNNING, "started_at": STARTED}
        update_row(session, _jobs, _THIS_JOB, running, {"of_job": job.id})


def settle_job(session: Session, job: LockedJob, *, actor: str, just_moved: Mapping[int, State] | None = None) -> State:
    """Make the job's row follow its tasks; a failed or cancelled task takes the waiting ones of its job along.

    Where the job has no other tasks than those `just_moved`, they are not read again. Gives the job's state afterwards.
    """
    states = just_moved if just_moved and job.has_one_task else _task_states(session, job.id)
    if State.FAILED in states.values() or State.CANCELLED in states.values():
        _stop_the_rest(session, job, states, actor=actor)
        states = _task_states(session, job.id)
    after = job_state(states.values())
    if job.state == after:
        return after
    changes: dict[str, Any] = {"state": after}
    if after is State.RUNNING:
        changes["started_at"] = STARTED
    if after in TERMINAL:
        why = _explanation(session, job.id, after)
        changes |= {"finished_at": _NOW, **why}
        add_events(session, [job_event(actor, job, after)])
        if after is State.FAILED:
            tell_failed(session, job.id, **why)
    update_row(session, _jobs, _THIS_JOB, changes, {"of_job": job.id})
    if after in TERMINAL and job.is_waited_for:
        unblock_children_of_job(session, job.id)
    return after


def _task_states(session: Session, job_id: int) -> dict[int, State]:
    return dict(fetch(session, _states_statement(), {"job_id": job_id}))


@cache
def _states_statement() -> "Select[Any]":
    of_job = _tasks.c.job_id == bindparam("job_id")
    return select(_tasks.c.id, _tasks.c.state).where(of_job).order_by(_tasks.c.id)


def _stop_the_rest(session: Session, job: LockedJob, states: Mapping[int, State], *, actor: str) -> None:
    for task_id, state in states.items():
        if state in WAITING:
            detail = "another task of the job did not succeed"
            move_task(session, task_id, state, State.CANCELLED, actor=actor, action="cancel", detail=detail)
    if State.RUNNING in states.values():  # their workers read this with the next heartbeat
        update_row(session, _jobs, _THIS_JOB, {"cancel_requested": True}, {"of_job": job.id})


def _explanation(session: Session, job_id: int, state: State) -> dict[str, str | None]:
    if state is State.SUCCEEDED:
        return {"reason": None, "message": None}
    of_state = select(_tasks.c.reason, _tasks.c.message).where(_tasks.c.job_id == job_id, _tasks.c.state == state)
    reason, message = session.execute(of_state.order_by(_tasks.c.finished_at, _tasks.c.id).limit(1)).one()
    return {"reason": reason, "message": message}

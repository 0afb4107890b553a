"""The one place where a task changes its state, and where its job's state follows.

Lock order: a transaction that moves tasks locks their job's row first (PostgreSQL; SQLite has one writer at a time),
so two tasks that finish at the same moment cannot each miss the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from db.tables import Event, Job, Task
from db.types import now
from pixmill.errors import NotFound
from pixmill.states import TERMINAL, State, check_move, job_state

LARGEST_ID = 2**63 - 1  # what a column holds
WAITING = (State.PENDING, State.HELD, State.QUEUED)


def lock_job(session: Session, job_id: int) -> Job:
    """The job's row, locked until the transaction ends.  Raises NotFound."""
    # key_share: rows that merely refer to the job (shards, children) can still be added meanwhile.
    statement = select(Job).where(Job.id == job_id).with_for_update(key_share=True)
    job = None
    if job_id <= LARGEST_ID:
        job = session.scalars(statement, execution_options={"populate_existing": True}).one_or_none()
    if job is None:
        raise NotFound(f"there is no job {job_id}", hint="pixmill ps --all")
    return job


def move_task(
    session: Session,
    task_id: int,
    source: State,
    target: State,
    *,
    actor: str,
    action: str,
    detail: str | None = None,
    where: Sequence[ColumnElement[bool]] = (),
    values: Mapping[str, Any] | None = None,
) -> Task | None:
    """Move one task by compare-and-set and record the event; None when it is no longer as `source` and `where` say.

    The caller holds the job's lock and calls `settle_job` when its moves are made.  Raises InvalidMove.
    """
    check_move(f"task {task_id}", source, target)
    changes: dict[str, Any] = {"state": target, **(values or {})}
    if target in TERMINAL:
        changes.setdefault("finished_at", now())
    statement = update(Task).where(Task.id == task_id, Task.state == source, *where).values(changes).returning(Task)
    task = session.scalars(statement, execution_options={"populate_existing": True}).one_or_none()
    if task is not None:
        session.add(
            Event(
                job_id=task.job_id,
                task_id=task_id,
                actor=actor,
                action=action,
                from_state=source,
                to_state=target,
                detail=detail,
            )
        )
    return task


def settle_job(session: Session, job: Job, *, actor: str) -> None:
    """Make the job's row follow its tasks; a failed or cancelled task takes the waiting ones of its job along."""
    states = _task_states(session, job.id)
    if State.FAILED in states.values() or State.CANCELLED in states.values():
        _stop_the_rest(session, job, states, actor=actor)
        states = _task_states(session, job.id)
    before, after = job.state, job_state(states.values())
    if after is State.RUNNING and job.started_at is None:
        job.started_at = session.scalar(select(now()))
    if before == after:
        return
    job.state = after
    if after in TERMINAL:
        job.finished_at = session.scalar(select(now()))
        _explain(session, job)
        session.add(Event(job_id=job.id, actor=actor, action=after.value, from_state=before, to_state=after))
    session.flush()


def _task_states(session: Session, job_id: int) -> dict[int, State]:
    rows = session.execute(select(Task.id, Task.state).where(Task.job_id == job_id).order_by(Task.id))
    return {task_id: state for task_id, state in rows}  # noqa: C416  rows are not tuples to mypy


def _stop_the_rest(session: Session, job: Job, states: Mapping[int, State], *, actor: str) -> None:
    for task_id, state in states.items():
        if state in WAITING:
            detail = "another task of the job did not succeed"
            move_task(session, task_id, state, State.CANCELLED, actor=actor, action="cancel", detail=detail)
        elif state is State.RUNNING:
            job.cancel_requested = True  # its worker reads this with the next heartbeat


def _explain(session: Session, job: Job) -> None:
    job.reason = job.message = None
    if job.state is State.SUCCEEDED:
        return
    first = select(Task).where(Task.job_id == job.id, Task.state == job.state).order_by(Task.finished_at, Task.id)
    task = session.scalars(first.limit(1)).one()
    job.reason, job.message = task.reason, task.message

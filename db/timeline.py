"""A database that was restored from a copy, and an operator who says so.

From then on it is the present one: what runs by its rows waits again, and whoever still works by the rows that are lost
holds an epoch that never comes again. What is given no more even before anybody says so is `db.taken`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.moves import add_event, lock_job, move_task, settle_job
from db.tables.fleet import Scheduler, Worker
from db.tables.jobs import Attempt, Event, Job, Outcome, Task
from db.tables.pipelines import PipelineRun
from db.taken import step_over
from db.types import now
from pixmill.states import State

STEPPED = "step_over"  # the event of a task whose epochs go on above those that lie on the disk
RESTORED = "restored"  # the event by which an operator has said that the database is an older one
_HELD = "the database was restored from a copy that is older than what its worker did"


@dataclass(frozen=True, kw_only=True)
class LaterIds:
    """The ids and epochs that a later database has given, as far as files tell."""

    job: int = 0  # the largest
    task: int = 0
    pipeline_run: int = 0
    epochs: Mapping[int, int] = field(default_factory=dict)  # task id → its largest


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    """What became of the rows."""

    waiting: Sequence[int]  # jobs that run no more, as nobody holds them by these rows
    stepped: int  # tasks whose epochs go on above those on the disk


def acknowledged_at(session: Session) -> datetime | None:
    """When an operator last said that the database was restored."""
    return session.scalar(select(func.max(Event.at)).where(Event.action == RESTORED))


def acknowledge(session: Session, later: LaterIds, *, actor: str, detail: str) -> Acknowledged:
    """Take the database for the present one: what runs by its rows waits again, and nothing is given twice.

    Whoever still works by the rows that are lost holds an epoch that never comes again.
    """
    for table, highest in ((Job, later.job), (Task, later.task), (PipelineRun, later.pipeline_run)):
        step_over(session, table, highest)
    waiting = [_let_wait(session, *row, actor=actor) for row in _running(session)]
    stepped = sum(_step(session, task_id, epoch, actor) for task_id, epoch in sorted(later.epochs.items()))
    for process in (Worker, Scheduler):  # one that lives beats again
        session.execute(update(process).where(process.stopped_at.is_(None)).values(stopped_at=now()))
    add_event(session, actor=actor, action=RESTORED, detail=detail)
    return Acknowledged(waiting=sorted(set(waiting)), stepped=stepped)


def _running(session: Session) -> Sequence[tuple[int, int, int]]:
    running = select(Task.job_id, Task.id, Task.lease_epoch).where(Task.state == State.RUNNING)
    return [(*row,) for row in session.execute(running.order_by(Task.job_id, Task.id))]


def _let_wait(session: Session, job_id: int, task_id: int, epoch: int, *, actor: str) -> int:
    job = lock_job(session, job_id)
    target, outcome = State.PENDING, Outcome.PREEMPTED
    values: dict[str, Any] = {"dispatched_at": None, "worker_id": None, "preemptions": Task.preemptions + 1}
    if job.cancel_requested:
        target, outcome, values = State.CANCELLED, Outcome.CANCELLED, {}
    moved = move_task(
        session, task_id, State.RUNNING, target, actor=actor, action=RESTORED, detail=_HELD, values=values
    )
    if moved is not None:
        mine = (Attempt.task_id == task_id, Attempt.lease_epoch == epoch, Attempt.outcome.is_(None))
        ended = {"outcome": outcome, "message": _HELD, "finished_at": now()}
        session.execute(update(Attempt).where(*mine).values(ended))
        settle_job(session, job, actor=actor)
    return job_id


def _step(session: Session, task_id: int, epoch: int, actor: str) -> bool:
    behind = update(Task).where(Task.id == task_id, Task.lease_epoch < epoch)
    job_id = session.scalar(behind.values(lease_epoch=epoch).returning(Task.job_id))
    if job_id is None:
        return False
    detail = f"attempts up to {epoch} lie on the disk, of a database that was later than this one"
    add_event(session, actor=actor, action=STEPPED, detail=detail, job_id=job_id, task_id=task_id)
    return True

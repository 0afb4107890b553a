"""Queues that operators empty: of what runs, and of what waits."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.control import cancel_job, requeue_running
from db.moves import WAITING, lock_job
from db.queues import get_queue, pause_queue
from db.tables.jobs import Task
from pixmill.errors import InvalidMove
from pixmill.states import State


def drain_queue(session: Session, name: str, *, actor: str, why: str, now: bool = False) -> bool:
    """Pause the queue; with `now` what runs of it stops at its next checkpoint.  False if it was paused before.

    Raises NotFound.
    """
    changed = pause_queue(session, name, actor=actor, why=why)
    if now:
        requeue_running(session, Task.queue == name, actor=actor, why=why)
    return changed


def running_tasks(session: Session, name: str) -> int:
    """How many tasks of the queue run.  Raises NotFound."""
    get_queue(session, name)
    counted = select(func.count()).where(Task.queue == name, Task.state == State.RUNNING)
    return session.scalars(counted).one()


def purge_job(session: Session, job_id: int, *, actor: str, why: str | None) -> State:
    """Cancel the job if nothing of it has begun; gives its state.  Raises InvalidMove if something has."""
    job = lock_job(session, job_id)
    if job.state not in WAITING:
        raise InvalidMove(f"job {job_id} is {job.state} by now; it is left as it is")
    return cancel_job(session, job_id, actor=actor, why=why)

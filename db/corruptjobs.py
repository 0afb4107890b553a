"""Jobs that cannot go on, since a row of theirs cannot be read: they fail, with a reason that says so.

Nothing of them is read here but their ids: what stands in their other columns may be anything.
"""

from functools import cache, partial
from typing import Any

from sqlalchemy import Select, String, and_, bindparam, select, type_coerce
from sqlalchemy.orm import Session

from db.dependencies import unblock_children_of_job
from db.engine import Database
from db.moves import add_events
from db.statements import fetch, update_all
from db.tables.jobs import Attempt, Job, Outcome, Task
from db.telling import tell_failed
from db.types import among, now
from pixmill.states import TERMINAL, FailureReason, State

_jobs: Any = Job.__table__
_tasks: Any = Task.__table__
_attempts: Any = Attempt.__table__
_NOW = now()
_THIS_JOB = (_jobs.c.id == bindparam("of_job"),)
_ITS_TASKS = (_tasks.c.job_id == bindparam("of_job"), and_(*(_tasks.c.state != state for state in sorted(TERMINAL))))
_THEIR_ATTEMPTS = (among(_attempts.c.task_id, "task_ids"), _attempts.c.outcome.is_(None))


def fail_noted(database: Database, actor: str = "scheduler") -> int:
    """Fail the jobs that were noted as corrupt; gives how many were.  Raises DatabaseUnreachable."""
    noted = database.corrupt_rows.take()
    for job_id, why in noted.items():
        database.transact(partial(fail_corrupt, job_id=job_id, why=why, actor=actor))
    return len(noted)


def fail_corrupt(session: Session, job_id: int, why: str, actor: str) -> bool:
    """Fail a job whatever its rows hold; False if it has ended.  A worker that runs a task of it loses its lease."""
    if not fetch(session, _lock_statement(), {"of_job": job_id}):
        return False
    left = fetch(session, _left_statement(), {"of_job": job_id})
    told = {"reason": FailureReason.CORRUPT_ROW, "message": why}
    failed = {"state": State.FAILED, "finished_at": _NOW, **told}
    update_all(session, _tasks, _ITS_TASKS, {**failed, "stop_to": None}, {"of_job": job_id})
    closed = {"outcome": Outcome.FAILED, "finished_at": _NOW, **told}
    update_all(session, _attempts, _THEIR_ATTEMPTS, closed, {"task_ids": [row.id for row in left]})
    update_all(session, _jobs, _THIS_JOB, failed, {"of_job": job_id})
    about = {"actor": actor, "action": State.FAILED.value, "job_id": job_id, "to_state": State.FAILED.value}
    tasks = [{**about, "task_id": row.id, "from_state": row.state[:32], "detail": why} for row in left]
    add_events(session, [*tasks, {**about, "task_id": None, "from_state": None, "detail": None}])
    tell_failed(session, job_id, **told)
    unblock_children_of_job(session, job_id)
    return True


@cache
def _lock_statement() -> "Select[Any]":
    goes_on = and_(*(_jobs.c.state != state for state in sorted(TERMINAL)))
    return select(_jobs.c.id).where(*_THIS_JOB, goes_on).with_for_update(key_share=True)


@cache
def _left_statement() -> "Select[Any]":
    state = type_coerce(_tasks.c.state, String).label("state")  # whatever it is
    return select(_tasks.c.id, state).where(*_ITS_TASKS).order_by(_tasks.c.id)

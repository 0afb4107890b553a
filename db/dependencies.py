"""Which jobs and tasks wait for others: derived by query, never counted.

A task that waits for others is marked as blocked when it is added, so that a look for work need not ask about it again
and again. The mark is a hint: whoever starts a task asks all the same. It goes when anything that the task waits for
ends, and where two transactions missed each other, with the scheduler's next sweep.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Update, and_, bindparam, case, false, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from db.statements import fetch
from db.tables.jobs import Job, JobDependency, Task, TaskDependency
from pixmill.states import TERMINAL, State

_tasks: Any = Task.__table__
_job_edges: Any = JobDependency.__table__
_task_edges: Any = TaskDependency.__table__
_BATCH = 1000  # tasks in one statement
_UNSEEN: Any = {"synchronize_session": False}  # no object that the session holds reads the mark


def doomed_jobs(session: Session) -> Sequence[tuple[int, int]]:
    """(job, parent) pairs where a waiting job needs a parent's success that will never come."""
    return [(row.job_id, row.parent) for row in fetch(session, _doomed_statement(), {})]


@cache
def _doomed_statement() -> "Select[int, int]":
    parent = aliased(Job)
    return (
        select(JobDependency.job_id, func.min(JobDependency.parent_id).label("parent"))
        .join(Job, Job.id == JobDependency.job_id)
        .join(parent, parent.id == JobDependency.parent_id)
        .where(or_(Job.state == State.PENDING, Job.state == State.HELD), ~JobDependency.any_outcome)
        .where(or_(parent.state == State.FAILED, parent.state == State.CANCELLED))
        .group_by(JobDependency.job_id)
    )


@cache
def unfinished_parent(*, of_few: bool = False) -> ColumnElement[bool]:
    """SQL condition on tasks: some job or task that it waits for has not ended as it must.

    Where it is asked `of_few` tasks, PostgreSQL is kept from reading all that waits for others into a hash table first,
    and from the guess that hardly any task waits for nothing, by which it would read and sort all of them.
    """
    goes_on = and_(*(Job.state != state for state in sorted(TERMINAL)))  # no IN: see db.statements
    parent_job = (
        select(JobDependency.parent_id)
        .where(JobDependency.job_id == Task.job_id, Job.id == JobDependency.parent_id)
        .where(or_(goes_on, (Job.state != State.SUCCEEDED) & ~JobDependency.any_outcome))
        .correlate(Task)
    )
    parent = aliased(Task)
    parent_task = (
        select(TaskDependency.parent_id)
        .where(TaskDependency.task_id == Task.id, parent.id == TaskDependency.parent_id)
        .where(parent.state != State.SUCCEEDED)
        .correlate(Task)
    )
    if of_few:
        found = or_(*(one.limit(1).scalar_subquery().is_not(None) for one in (parent_job, parent_task)))
        return case((found, 1), else_=0) == 1
    return or_(parent_job.exists(), parent_task.exists())


def mark_blocked(session: Session, job_ids: Sequence[int]) -> None:
    """Mark those tasks of jobs just added that have to wait for others."""
    _mark(session, (Task.job_id.in_(job_ids), unfinished_parent()), blocked=True)


def unblock_children_of_job(session: Session, job_id: int) -> None:
    """Take the mark off what waits for this job, which has ended: perhaps it can start now."""
    fetch(session, _unblock_statement(of_job=True), {"ended": job_id})


def unblock_children_of_task(session: Session, task_id: int) -> None:
    """Take the mark off what waits for this task, which has ended: perhaps it can start now."""
    fetch(session, _unblock_statement(of_job=False), {"ended": task_id})


@cache
def _unblock_statement(*, of_job: bool) -> Update:
    child = _tasks.alias()
    if of_job:
        waiting = (child.c.job_id == _job_edges.c.job_id, _job_edges.c.parent_id == bindparam("ended"))
    else:
        waiting = (child.c.id == _task_edges.c.task_id, _task_edges.c.parent_id == bindparam("ended"))
    # Whoever has locked one of them is not waited for: two ends at once could wait for each other.
    found = select(child.c.id).where(*waiting, child.c.blocked).with_for_update(of=child, skip_locked=True)
    return update(_tasks).where(_tasks.c.id.in_(found)).values(blocked=false())


def unblock_ready_tasks(session: Session) -> int:
    """Take the mark off all that need not wait any more; gives how many that were."""
    ready = select(Task.id).where(Task.state == State.PENDING, Task.blocked, ~unfinished_parent())
    found = session.scalars(ready.with_for_update(of=Task, skip_locked=True)).all()
    for first in range(0, len(found), _BATCH):
        _mark(session, (Task.id.in_(found[first : first + _BATCH]),), blocked=False)
    return len(found)


def _mark(session: Session, where: tuple[ColumnElement[bool], ...], *, blocked: bool) -> None:
    session.execute(update(Task).where(*where).values(blocked=blocked), execution_options=_UNSEEN)

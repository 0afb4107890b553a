"""Which jobs and tasks wait for others: derived by query, never counted."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from db.statements import fetch
from db.tables import Job, JobDependency, Task, TaskDependency
from pixmill.states import TERMINAL, State


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
def unfinished_parent() -> ColumnElement[bool]:
    """SQL condition on tasks: some job or task that it waits for has not ended as it must."""
    goes_on = and_(*(Job.state != state for state in sorted(TERMINAL)))  # no IN: see db.statements
    parent_job = (
        exists()
        .where(JobDependency.job_id == Task.job_id, Job.id == JobDependency.parent_id)
        .where(or_(goes_on, (Job.state != State.SUCCEEDED) & ~JobDependency.any_outcome))
        .correlate(Task)
    )
    parent = aliased(Task)
    parent_task = (
        exists()
        .where(TaskDependency.task_id == Task.id, parent.id == TaskDependency.parent_id)
        .where(parent.state != State.SUCCEEDED)
        .correlate(Task)
    )
    return or_(parent_job, parent_task)

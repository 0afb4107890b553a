"""Which jobs and tasks wait for others: derived by query, never counted."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from db.tables import Job, JobDependency, Task, TaskDependency
from pixmill.states import TERMINAL, State


def doomed_jobs(session: Session) -> Sequence[tuple[int, int]]:
    """(job, parent) pairs where a waiting job needs a parent's success that will never come."""
    parent = aliased(Job)
    statement = (
        select(JobDependency.job_id, func.min(JobDependency.parent_id))
        .join(Job, Job.id == JobDependency.job_id)
        .join(parent, parent.id == JobDependency.parent_id)
        .where(Job.state.in_([State.PENDING, State.HELD]), ~JobDependency.any_outcome)
        .where(parent.state.in_([State.FAILED, State.CANCELLED]))
        .group_by(JobDependency.job_id)
    )
    return [(job_id, parent_id) for job_id, parent_id in session.execute(statement)]


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

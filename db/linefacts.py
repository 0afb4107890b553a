"""What the tasks of many jobs add up to: job → fact; a job without any is left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from db.tables.fleet import Device, Worker
from db.tables.jobs import Job, JobDependency, Task
from pixmill.states import ACTIVE, State


def totals(session: Session, ids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """(images, tasks, tasks that have succeeded) of each."""
    succeeded = case((Task.state == State.SUCCEEDED, 1), else_=0)
    statement = (
        select(Task.job_id, func.sum(Task.progress_done), func.count(), func.sum(succeeded))
        .where(Task.job_id.in_(ids))
        .group_by(Task.job_id)
    )
    return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in session.execute(statement)}


def devices(session: Session, ids: Sequence[int]) -> dict[int, list[str]]:
    """Where each runs, as HOST:DEVICE."""
    statement = (
        select(Task.job_id, Device.host, Device.name)
        .join(Worker, Worker.id == Task.worker_id)
        .join(Device, Device.id == Worker.device_id)
        .where(Task.job_id.in_(ids), Task.state == State.RUNNING)
        .order_by(Task.id)
    )
    found: dict[int, list[str]] = {}
    for job_id, host, name in session.execute(statement):
        found.setdefault(job_id, []).append(f"{host}:{name}")
    return found


def progress(session: Session, ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    """Of the running task of each, the last if several run."""
    statement = select(Task.job_id, Task.progress).where(Task.job_id.in_(ids), Task.state == State.RUNNING)
    return {job_id: of_task for job_id, of_task in session.execute(statement.order_by(Task.id))}  # noqa: C416


def waits(session: Session, ids: Sequence[int]) -> dict[int, list[int]]:
    """The unfinished jobs that each waits for."""
    # The state is not asked for in SQL: SQLite would walk all unfinished jobs, and look for every child of each.
    statement = (
        select(JobDependency.job_id, JobDependency.parent_id, Job.state)
        .join(Job, Job.id == JobDependency.parent_id)
        .where(JobDependency.job_id.in_(ids))
        .order_by(JobDependency.job_id, JobDependency.parent_id)
    )
    found: dict[int, list[int]] = {}
    for job_id, parent_id, state in session.execute(statement):
        if state in ACTIVE:
            found.setdefault(job_id, []).append(parent_id)
    return found

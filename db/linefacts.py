"""What the tasks of many jobs add up to: job → fact; a job without any is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from db.tables.fleet import Device, Worker
from db.tables.jobs import Job, JobDependency, Role, Task
from pixmill.stages import Stage
from pixmill.states import ACTIVE, State


@dataclass(frozen=True)
class Totals:
    """What the tasks of one job add up to."""

    images: int
    tasks: int
    tasks_done: int  # that have succeeded
    spent: Mapping[str, float]  # seconds by stage (pixmill.stages), of the last attempt of each that makes images


def totals(session: Session, ids: Sequence[int]) -> dict[int, Totals]:
    """The totals of each.

    The database adds up: a large job has thousands of tasks, and reading each one's JSON here takes five times as long.
    """
    succeeded = case((Task.state == State.SUCCEEDED, 1), else_=0)
    statement = (
        select(Task.job_id, func.sum(Task.progress_done), func.count(), func.sum(succeeded), *map(_seconds, Stage))
        .where(Task.job_id.in_(ids))
        .group_by(Task.job_id)
    )
    return {
        row[0]: Totals(int(row[1]), int(row[2]), int(row[3]), _known(row[4:])) for row in session.execute(statement)
    }


def _seconds(stage: Stage) -> ColumnElement[float | None]:
    path = ("spent", stage.value)
    of_ended, of_running = Task.result[path].as_float(), Task.progress[path].as_float()
    makes = Task.role == Role.GENERATE
    return func.sum(case((makes & (Task.state == State.SUCCEEDED), of_ended), (makes, of_running)))


def _known(sums: Sequence[float | None]) -> dict[str, float]:
    return {stage.value: seconds for stage, seconds in zip(Stage, sums, strict=True) if seconds is not None}


@dataclass(frozen=True)
class Running:
    """What of a job runs at present."""

    devices: tuple[str, ...] = ()  # HOST:DEVICE
    progress: Mapping[str, Any] = field(default_factory=dict)  # of its task, the last if several run


def running(session: Session, ids: Sequence[int]) -> dict[int, Running]:
    """What runs of each."""
    statement = (
        select(Task.job_id, Task.progress, Device.host, Device.name)
        .outerjoin(Worker, Worker.id == Task.worker_id)
        .outerjoin(Device, Device.id == Worker.device_id)
        .where(Task.job_id.in_(ids), Task.state == State.RUNNING)
        .order_by(Task.id)
    )
    found: dict[int, Running] = {}
    for job_id, progress, host, name in session.execute(statement):
        before = found.get(job_id, Running())
        here = () if name is None else (f"{host}:{name}",)
        found[job_id] = Running((*before.devices, *here), progress)
    return found


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

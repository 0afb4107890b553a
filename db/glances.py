"""What somebody sees who looks at everything at once: counts, the last events, which attempt ran where and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from db.tables.fleet import Device, Worker
from db.tables.jobs import Attempt, Event, Job, Outcome, Task
from db.tables.models import Evaluation, ModelVersion
from pixmill.states import State

SHOWN_ATTEMPTS = 2000  # the newest; a timeline of a day has no room for more


@dataclass(frozen=True)
class Stay:
    """An attempt on its device."""

    device: str
    host: str
    job_id: int
    job_name: str
    kind: str
    task: int  # its number
    outcome: Outcome | None  # None: it runs
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Measured:
    """What one job has measured of one version of a model."""

    version: int
    job_id: int
    kind: str  # of the job
    spec: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]


def job_counts(session: Session) -> dict[State, int]:
    """How many jobs are in which state; states without a job are left out."""
    rows = session.execute(select(Job.state, func.count()).group_by(Job.state))
    return {state: count for state, count in rows}  # noqa: C416


def last_events(session: Session, limit: int) -> Sequence[Event]:
    """The last events of all jobs, queues and devices, the newest first."""
    return session.scalars(select(Event).order_by(Event.id.desc()).limit(limit)).all()


def stays_since(session: Session, since: datetime, limit: int = SHOWN_ATTEMPTS) -> list[Stay]:
    """Attempts that had not ended at that moment, in order of time: the newest, and all that still run."""
    newest = select(Attempt.id).order_by(Attempt.id.desc()).limit(limit)
    # Of old attempts only the tasks that run are asked: no index leads to the others by time.
    running = select(Attempt.id).join(Task, Task.id == Attempt.task_id).where(Task.state == State.RUNNING)
    of_running = running.where(Attempt.lease_epoch == Task.lease_epoch)
    lasting = or_(Attempt.finished_at.is_(None), Attempt.finished_at > since)
    chosen = _stays().where(or_(Attempt.id.in_(newest), Attempt.id.in_(of_running)), lasting)
    return [Stay(*row) for row in session.execute(chosen.order_by(Attempt.started_at, Attempt.id))]


def _stays() -> "Select[Any]":
    statement: Any = (
        select(
            Device.name,
            Device.host,
            Job.id,
            Job.name,
            Job.kind,
            Task.number,
            Attempt.outcome,
            Attempt.started_at,
            Attempt.finished_at,
        )
        .select_from(Attempt)
        .join(Task, Task.id == Attempt.task_id)
        .join(Job, Job.id == Task.job_id)
        .join(Worker, Worker.id == Attempt.worker_id)
        .join(Device, Device.id == Worker.device_id)
    )
    chosen: Select[Any] = statement
    return chosen


def measured_of(session: Session, model_id: int) -> list[Measured]:
    """All measurements of the versions of a model, the oldest first."""
    statement = (
        select(ModelVersion.version, Evaluation.job_id, Job.kind, Job.spec, Evaluation.metrics)
        .join(ModelVersion, ModelVersion.id == Evaluation.model_version_id)
        .join(Job, Job.id == Evaluation.job_id)
        .where(ModelVersion.model_id == model_id)
        .order_by(Evaluation.id)
    )
    return [Measured(*row) for row in session.execute(statement)]

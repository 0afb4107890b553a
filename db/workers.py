"""Rows of the processes and devices that do the work."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session, joinedload

from db.engine import insert_absent
from db.tables import Device, DeviceKind, Scheduler, Task, Worker
from db.types import now
from pixmill import __version__
from pixmill.states import State


@dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """What a device process found out about its device."""

    host: str
    name: str  # "cpu", "cuda:0"
    kind: DeviceKind
    model: str
    memory_bytes: int


def register_worker(session: Session, facts: DeviceFacts, pid: int) -> Worker:
    """Add a worker that has just started, and its device or what changed about it."""
    insert_absent(session, Device, asdict(facts))
    device = session.scalars(select(Device).where(Device.host == facts.host, Device.name == facts.name)).one()
    device.model, device.memory_bytes = facts.model, facts.memory_bytes
    worker = Worker(name=f"{facts.host}:{facts.name}", device=device, pid=pid, version=__version__)
    session.add(worker)
    session.flush()
    return worker


def beat_worker(session: Session, worker_id: int) -> None:
    """Say that the worker is alive."""
    beat = {"heartbeat_count": Worker.heartbeat_count + 1, "seen_at": now(), "stopped_at": None}
    session.execute(update(Worker).where(Worker.id == worker_id).values(beat))


def stop_worker(session: Session, worker_id: int) -> None:
    """Say that the worker has ended in order."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(stopped_at=now()))


def set_draining(session: Session, worker_id: int) -> None:
    """Say that the worker takes no more tasks."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(draining=True))


def present_workers(session: Session) -> Sequence[Worker]:
    """Workers that have not ended in order; those that died are among them until the scheduler stops them."""
    statement = select(Worker).where(Worker.stopped_at.is_(None)).options(joinedload(Worker.device))
    return session.scalars(statement.order_by(Worker.id)).all()


def latest_workers(session: Session) -> Sequence[Worker]:
    """The newest worker of each device, ended or not, by host and device."""
    newest = select(Worker.id).where(Worker.device_id == Device.id).order_by(Worker.id.desc()).limit(1)
    statement = select(Worker).join(Device).where(Worker.id == newest.correlate(Device).scalar_subquery())
    return session.scalars(statement.options(joinedload(Worker.device)).order_by(Device.host, Device.name)).all()


def running_tasks(session: Session) -> dict[int, Task]:
    """Worker id → the task it runs."""
    tasks = session.scalars(select(Task).where(Task.state == State.RUNNING, Task.worker_id.is_not(None)))
    return {task.worker_id: task for task in tasks if task.worker_id is not None}


def register_scheduler(session: Session, host: str, pid: int) -> Scheduler:
    """Add a scheduler that has just started."""
    scheduler = Scheduler(host=host, pid=pid, version=__version__)
    session.add(scheduler)
    session.flush()
    return scheduler


def beat_scheduler(session: Session, scheduler_id: int, broker_error: str | None) -> None:
    """Say that the scheduler is alive, and whether it reaches the broker."""
    values = {"seen_at": now(), "broker_error": broker_error, "stopped_at": None}
    session.execute(update(Scheduler).where(Scheduler.id == scheduler_id).values(values))


def stop_scheduler(session: Session, scheduler_id: int) -> None:
    """Say that the scheduler has ended in order."""
    session.execute(update(Scheduler).where(Scheduler.id == scheduler_id).values(stopped_at=now()))


def latest_scheduler(session: Session) -> Scheduler | None:
    """The scheduler that was seen last."""
    return session.scalars(select(Scheduler).order_by(Scheduler.seen_at.desc()).limit(1)).one_or_none()


def database_time(session: Session) -> datetime:
    """What the database's clock says."""
    return session.scalars(select(now())).one()


def is_silent(seen_at: datetime, at: datetime, lease_seconds: float) -> bool:
    """Whether a process that beat last at `seen_at` must be taken for dead at `at`; for display alone."""
    return at - seen_at > timedelta(seconds=lease_seconds)

"""Rows of the processes and devices that do the work."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, exists, select, update
from sqlalchemy.orm import Session, joinedload

from db.corrupt import blank, corrupt_rows, sound_rows
from db.engine import insert_absent
from db.lanes import Slot
from db.order import left_of
from db.statements import update_row
from db.tables.fleet import Device, DeviceKind, Scheduler, Worker
from db.tables.jobs import Account, Task
from db.types import now
from pixmill import __version__
from pixmill.errors import CorruptRow
from pixmill.states import State

DEAF_AFTER_CANARIES = 2

_workers: Any = Worker.__table__
_devices: Any = Device.__table__
_tasks: Any = Task.__table__
_schedulers: Any = Scheduler.__table__
_NOW = now()
PRESENT = _workers.c.stopped_at.is_(None)  # SQL condition on workers: has not ended in order
# SQL condition on workers: runs a task.
BUSY = exists().where(_tasks.c.worker_id == _workers.c.id, _tasks.c.state == State.RUNNING)
_accounts: Any = Account.__table__
_THIS_ACCOUNT = (_accounts.c.queue == bindparam("of_queue"), _accounts.c.user_name == bindparam("of_user"))
_THIS_SCHEDULER = (_schedulers.c.id == bindparam("of_scheduler"),)


@dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """What a device process found out about its device."""

    host: str
    name: str  # "cpu", "cuda:0", "cuda:0-3"
    kind: DeviceKind
    model: str
    memory_bytes: int
    width: int = 1  # how many devices it is


@dataclass(frozen=True)
class Reading:
    """One look at the devices of a worker, all together."""

    utilisation: float  # 0 to 1 of their time: of a CPU since the last look, of a GPU in the driver's last period
    memory_bytes: int  # taken, by whoever it is


def register_worker(session: Session, facts: DeviceFacts, pid: int) -> Worker:
    """Add a worker that has just started, and its device or what changed about it."""
    insert_absent(session, Device, asdict(facts))
    this = (Device.host == facts.host, Device.name == facts.name)
    session.execute(update(Device).where(*this).values(asdict(facts)))
    device = session.scalars(select(Device).where(*this)).one()
    worker = Worker(name=f"{facts.host}:{facts.name}", device=device, pid=pid, version=__version__)
    session.add(worker)
    session.flush()
    return worker


def beat_worker(session: Session, worker_id: int, reading: Reading | None = None) -> None:
    """Say that the worker is alive, and what its devices do, if that is known."""
    beat = {"heartbeat_count": Worker.heartbeat_count + 1, "seen_at": now(), "stopped_at": None}
    seen = {
        "utilisation": None if reading is None else reading.utilisation,
        "memory_used_bytes": None if reading is None else reading.memory_bytes,
    }
    session.execute(update(Worker).where(Worker.id == worker_id).values(beat | seen))


def is_same(first: Worker, second: Worker) -> bool:
    """Whether two rows of one id are of one process; a restored database gives ids again."""
    return (first.name, first.pid, first.started_at) == (second.name, second.pid, second.started_at)


def stop_worker(session: Session, worker_id: int) -> None:
    """Say that the worker has ended in order."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(stopped_at=now()))


def set_draining(session: Session, worker_id: int) -> None:
    """Say that the worker takes no more tasks."""
    session.execute(update(Worker).where(Worker.id == worker_id).values(draining=True))


def due_canaries(session: Session, period_seconds: float) -> Sequence[tuple[int, int]]:
    """(worker id, number of the next canary) of the idle workers that were sent none for a period."""
    due = timedelta(seconds=period_seconds)
    return [
        (row.id, row.canary_sent + 1)
        for row in sound_rows(session, _idle_statement(), {}, _of_worker(session))
        if row.at - (row.canary_sent_at or row.started_at) >= due
    ]


@cache
def _idle_statement() -> "Select[Any]":
    columns = ("id", "canary_sent", "canary_sent_at", "started_at")
    idle = select(*(_workers.c[name] for name in columns), now().label("at"))
    return idle.where(PRESENT, ~BUSY)


def note_canary_sent(session: Session, worker_id: int, number: int) -> None:
    """Say that this canary has left; a second scheduler that sent the same one changes nothing."""
    same = (Worker.id == worker_id, Worker.canary_sent == number - 1)
    session.execute(update(Worker).where(*same).values(canary_sent=number, canary_sent_at=now()))


def note_canary_heard(session: Session, worker_id: int, number: int) -> None:
    """Say that the worker got this canary."""
    newer = (Worker.id == worker_id, Worker.canary_heard < number)
    session.execute(update(Worker).where(*newer).values(canary_heard=number))


def is_deaf(worker: Worker, at: datetime, period_seconds: float) -> bool:
    """Whether an idle worker has missed two canaries, the last of them not just now."""
    missed = worker.canary_sent - worker.canary_heard
    if missed < DEAF_AFTER_CANARIES or worker.canary_sent_at is None:
        return False
    return at - worker.canary_sent_at > timedelta(seconds=period_seconds / 2)


def present_workers(session: Session) -> Sequence[Worker]:
    """Workers that have not ended in order; those that died are among them until the scheduler stops them."""
    statement = select(Worker).where(Worker.stopped_at.is_(None)).options(joinedload(Worker.device))
    return session.scalars(statement.order_by(Worker.id)).all()


def sight_workers(session: Session) -> dict[int, int]:
    """Worker id → its heartbeat counter now, for all present workers."""
    found = sound_rows(session, _present_statement(), {}, _of_worker(session))
    return {row.id: row.heartbeat_count for row in found}


def _of_worker(session: Session) -> Callable[[Any, CorruptRow], None]:
    return lambda row, error: corrupt_rows(session).tell(f"worker {row.id}", error)


@cache
def _present_statement() -> "Select[Any]":
    return select(_workers.c.id, _workers.c.heartbeat_count).where(PRESENT)


def present_slots(session: Session) -> set[Slot]:
    """The slots that present workers have."""
    return {Slot(row.kind, row.width) for row in sound_rows(session, _slots_statement(), {})}


@cache
def _slots_statement() -> "Select[Any]":
    present = select(_devices.c.kind, _devices.c.width).join(_workers, _workers.c.device_id == _devices.c.id)
    return present.where(PRESENT).distinct()


def latest_workers(session: Session) -> Sequence[Worker]:
    """The newest worker of each device, ended or not, by host and device."""
    newest = select(Worker.id).where(Worker.device_id == Device.id).order_by(Worker.id.desc()).limit(1)
    statement = select(Worker).join(Device).where(Worker.id == newest.correlate(Device).scalar_subquery())
    return session.scalars(statement.options(joinedload(Worker.device)).order_by(Device.host, Device.name)).all()


class Held(NamedTuple):
    """A task that a worker runs."""

    id: int
    job_id: int


def running_tasks(session: Session) -> dict[int, Held]:
    """Worker id → the task it runs, or the first of those that it holds together."""
    held = select(Task.worker_id, Task.id, Task.job_id).where(Task.state == State.RUNNING, Task.worker_id.is_not(None))
    rows = session.execute(held.order_by(Task.rank.desc(), Task.id.desc()))
    return {worker_id: Held(task_id, job_id) for worker_id, task_id, job_id in rows if worker_id is not None}


def charge_account(session: Session, queue: str, user_name: str, seconds: float) -> None:
    """Add device seconds to what a user has used through a queue; what was used before fades meanwhile."""
    this = {"of_queue": queue, "of_user": user_name}
    read_it = blank(session, f"the account of {user_name} in queue {queue}")
    for account in sound_rows(session, _account_statement(), this, read_it):  # none: its job is lost, by a restore
        charged = {"device_seconds": left_of(account) + seconds, "charged_at": account.at}
        update_row(session, _accounts, _THIS_ACCOUNT, charged, this)


@cache
def _account_statement() -> "Select[Any]":
    columns = select(_accounts.c.device_seconds, _accounts.c.charged_at, _NOW.label("at"))
    return columns.where(*_THIS_ACCOUNT).with_for_update(key_share=True)


def register_scheduler(session: Session, host: str, pid: int) -> Scheduler:
    """Add a scheduler that has just started."""
    scheduler = Scheduler(host=host, pid=pid, version=__version__)
    session.add(scheduler)
    session.flush()
    return scheduler


def beat_scheduler(session: Session, scheduler_id: int, broker_error: str | None) -> bool:
    """Say that the scheduler is alive, and whether it reaches the broker; False when nobody knows it."""
    values = {"seen_at": _NOW, "broker_error": broker_error, "stopped_at": None}
    which, told = {"of_scheduler": scheduler_id}, (_schedulers.c.id,)
    return update_row(session, _schedulers, _THIS_SCHEDULER, values, which, told) is not None


def stop_scheduler(session: Session, scheduler_id: int) -> None:
    """Say that the scheduler has ended in order."""
    session.execute(update(Scheduler).where(Scheduler.id == scheduler_id).values(stopped_at=now()))


def latest_scheduler(session: Session) -> Scheduler | None:
    """The scheduler that was seen last."""
    return session.scalars(select(Scheduler).order_by(Scheduler.seen_at.desc()).limit(1)).one_or_none()


def scheduler_on(session: Session, host: str) -> Scheduler | None:
    """The scheduler of this host that was seen last, of those that have not ended in order."""
    here = (Scheduler.host == host, Scheduler.stopped_at.is_(None))
    return session.scalars(select(Scheduler).where(*here).order_by(Scheduler.seen_at.desc()).limit(1)).one_or_none()


def database_time(session: Session) -> datetime:
    """What the database's clock says."""
    return session.scalars(select(now())).one()


def is_silent(seen_at: datetime, at: datetime, lease_seconds: float) -> bool:
    """Whether a process that beat last at `seen_at` must be taken for dead at `at`; for display alone."""
    return at - seen_at > timedelta(seconds=lease_seconds)

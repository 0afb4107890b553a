"""What `doctor` asks the database: about the server itself, and about what does not get on. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, aliased

from db.tables.fleet import DeviceKind, Scheduler, Worker
from db.tables.jobs import Job, JobDependency, Task
from db.workers import database_time
from pixmill.states import State

_WAITING = (State.PENDING, State.QUEUED)
_MOST_PROBLEMS = 10  # that SQLite's check lists


@dataclass(frozen=True, kw_only=True)
class SqliteFacts:
    """The embedded database."""

    version: str
    journal_mode: str
    size_bytes: int
    free_bytes: int  # of pages that hold nothing


@dataclass(frozen=True, kw_only=True)
class PostgresFacts:
    """A PostgreSQL database."""

    version: str
    size_bytes: int
    connections: int  # of all clients of the server
    max_connections: int


def server_facts(session: Session) -> SqliteFacts | PostgresFacts:
    """Version and size of the database's server."""
    if session.get_bind().dialect.name == "sqlite":
        page_bytes = _pragma(session, "page_size")
        return SqliteFacts(
            version=str(session.scalar(text("SELECT sqlite_version()"))),
            journal_mode=str(session.scalar(text("PRAGMA journal_mode"))),
            size_bytes=_pragma(session, "page_count") * page_bytes,
            free_bytes=_pragma(session, "freelist_count") * page_bytes,
        )
    asked = "SELECT pg_database_size(current_database()), (SELECT count(*) FROM pg_stat_activity)"
    size_bytes, connections = session.execute(text(asked)).one()
    return PostgresFacts(
        version=str(session.scalar(text("SHOW server_version"))),
        size_bytes=int(size_bytes),
        connections=int(connections),
        max_connections=int(session.execute(text("SHOW max_connections")).scalar_one()),
    )


def _pragma(session: Session, name: str) -> int:
    return int(session.execute(text(f"PRAGMA {name}")).scalar_one())


def quick_check(session: Session) -> list[str]:
    """What SQLite finds wrong in its file, which it reads as a whole; empty when all is well."""
    found = [str(line) for line in session.scalars(text(f"PRAGMA quick_check({_MOST_PROBLEMS})"))]
    return [] if found == ["ok"] else found


def running_schedulers(session: Session) -> Sequence[Scheduler]:
    """Schedulers that have not ended in order, the one that was seen last first."""
    statement = select(Scheduler).where(Scheduler.stopped_at.is_(None)).order_by(Scheduler.seen_at.desc())
    return session.scalars(statement).all()


@dataclass(frozen=True)
class Stranded:
    """A task that runs under a worker that has ended."""

    task_id: int
    job_id: int
    worker: str
    ended_at: datetime


def stranded_tasks(session: Session) -> list[Stranded]:
    """Tasks whose worker has ended and that no scheduler has taken back yet, by id."""
    statement = (
        select(Task.id, Task.job_id, Worker.name, Worker.stopped_at)
        .join(Worker, Worker.id == Task.worker_id)
        .where(Task.state == State.RUNNING, Worker.stopped_at.is_not(None))
        .order_by(Task.id)
    )
    return [
        Stranded(task_id, job_id, name, ended_at)
        for task_id, job_id, name, ended_at in session.execute(statement)
        if ended_at is not None
    ]


def failures_since(session: Session, hours: float) -> Mapping[str, int]:
    """Failure reason → how many jobs failed for it within the last hours, most first."""
    since = database_time(session) - timedelta(hours=hours)
    statement = (
        select(Job.reason, func.count())
        .where(Job.state == State.FAILED, Job.finished_at >= since)
        .group_by(Job.reason)
        .order_by(func.count().desc(), Job.reason)
    )
    return {reason or "Error": count for reason, count in session.execute(statement)}


def jobs_by_state(session: Session) -> Mapping[State, int]:
    """State → how many jobs are in it, of all that there ever were."""
    counted = select(Job.state, func.count()).group_by(Job.state)
    return dict(iter(session.execute(counted)))


@dataclass(frozen=True)
class QueueLoad:
    """How many tasks of a queue run and wait."""

    running: int
    waiting: int


def queue_loads(session: Session) -> Mapping[str, QueueLoad]:
    """Queue → its load; queues without unfinished tasks are left out."""
    counts: dict[str, dict[State, int]] = {}
    statement = select(Task.queue, Task.state, func.count()).where(Task.state.in_([State.RUNNING, *_WAITING]))
    for queue, state, count in session.execute(statement.group_by(Task.queue, Task.state)):
        counts.setdefault(queue, {})[state] = count
    return {
        queue: QueueLoad(of.get(State.RUNNING, 0), sum(of.get(state, 0) for state in _WAITING))
        for queue, of in counts.items()
    }


def waiting_needs(session: Session) -> Mapping[tuple[DeviceKind | None, int], int]:
    """Kind of device, None for any, and how many of them at once → how many tasks wait for them."""
    needs = (Task.device_kind, Task.devices)
    statement = select(*needs, func.count()).where(Task.state.in_(_WAITING)).group_by(*needs)
    return {(kind, devices): count for kind, devices, count in session.execute(statement)}


def held_jobs(session: Session) -> int:
    """How many jobs an operator holds back."""
    return session.execute(select(func.count()).where(Job.state == State.HELD)).scalar_one()


def jobs_behind_held(session: Session) -> Sequence[tuple[int, int]]:
    """(job, parent) pairs where a waiting job waits for one that is held."""
    parent = aliased(Job)
    statement = (
        select(JobDependency.job_id, func.min(JobDependency.parent_id))
        .join(Job, Job.id == JobDependency.job_id)
        .join(parent, parent.id == JobDependency.parent_id)
        .where(Job.state == State.PENDING, parent.state == State.HELD)
        .group_by(JobDependency.job_id)
        .order_by(JobDependency.job_id)
    )
    return [(job_id, parent_id) for job_id, parent_id in session.execute(statement)]

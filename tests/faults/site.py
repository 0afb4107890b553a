"""Where faults are injected: a plant, the customers who use it, and what the injectors must remember."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import redis
from celery import Celery
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables.jobs import Task
from db.tables.published import Checkpoint, CheckpointKind
from pixmill.errors import PixmillError
from pixmill.settings import load_settings
from pixmill.states import State
from scheduler.messages import make_celery
from tests.faults.load import Load
from tests.faults.plant import Member, Plant

T = TypeVar("T")
Steps = Iterator[float]  # seconds until a fault goes on


class NotNow(Exception):
    """There is nothing to hurt in this way at the moment."""


@dataclass
class Site:
    """What a fault may reach for."""

    plant: Plant
    load: Load
    database: Database  # that gives up soon: while it waits, no fault is healed
    damaged: set[str] = field(default_factory=set)  # checkpoint files that were spoilt
    cancelled: set[int] = field(default_factory=set)  # jobs that an operator has cancelled
    restart_budget: float = 6.0  # seconds of CPU that restarts may still cost
    _budget_at: float = field(default_factory=time.monotonic)
    _celery: Celery | None = None

    def spend(self, cpu_seconds: float, *, share: float) -> None:
        """Take the cost of a restart from what the machine may spend on restarts: `share` CPU seconds a second.

        Raises NotNow when that is used up: a line that only starts processes does no work that could be lost.
        """
        at = time.monotonic()
        self.restart_budget = min(10.0, self.restart_budget + share * (at - self._budget_at))
        self._budget_at = at
        if self.restart_budget < cpu_seconds:
            raise NotNow
        self.restart_budget -= cpu_seconds

    def worker(self, rng: random.Random) -> Member:
        """A worker that runs and is not stopped.  Raises NotNow."""
        return _running(rng.choice(self.plant.workers))

    def scheduler(self, rng: random.Random) -> Member:
        """A scheduler that runs and is not stopped.  Raises NotNow."""
        return _running(rng.choice(self.plant.schedulers))

    def job(self, rng: random.Random) -> int:
        """A job that had not ended a moment ago.  Raises NotNow."""
        unfinished = self.load.unfinished
        if not unfinished:
            raise NotNow
        return rng.choice(unfinished)

    def task(self, rng: random.Random) -> tuple[int, int]:
        """A task of such a job, or of another, and its dispatch number.  Raises NotNow."""
        newest = select(Task.id, Task.dispatch_seq).order_by(Task.id.desc()).limit(40)
        rows = self.ask(lambda session: session.execute(newest).all())
        if not rows:
            raise NotNow
        task_id, dispatch_seq = rng.choice(rows)
        return task_id, dispatch_seq

    def newest_checkpoint(self, rng: random.Random) -> str:
        """The path of the checkpoint from which a running train task would be resumed.  Raises NotNow."""
        newest = (
            select(Checkpoint.task_id, Checkpoint.path)
            .join(Task)
            .where(Task.state == State.RUNNING, Checkpoint.kind == CheckpointKind.LAST)
            .order_by(Checkpoint.id)
        )
        rows = self.ask(lambda session: session.execute(newest).all())
        by_task: dict[int, str] = {task_id: path for task_id, path in rows}  # noqa: C416  the last one stays
        if not by_task:
            raise NotNow
        return by_task[rng.choice(sorted(by_task))]

    def ask(self, read: Callable[[Session], T]) -> T:
        """Read the database.  Raises NotNow when it is away."""
        with self._database_or_not_now(), self.database.read() as session:
            return read(session)

    def act(self, change: Callable[[Session], T]) -> T:
        """Change something as an operator does.  Raises NotNow when the database is away or the act is refused."""
        with self._database_or_not_now():
            return self.database.transact(change)

    @contextmanager
    def _database_or_not_now(self) -> Iterator[None]:
        if self.plant.database_is_away:
            raise NotNow
        try:
            yield
        except (PixmillError, SQLAlchemyError) as error:
            raise NotNow from error

    @contextmanager
    def broker(self) -> Iterator["redis.Redis"]:
        """A client of the server itself, past the proxy.  Raises NotNow when it does not answer."""
        try:
            with self.plant.valkey.client() as client:
                yield client
        except redis.RedisError as error:
            raise NotNow from error

    @property
    def celery(self) -> Celery:
        """An application that sends past the proxy."""
        if self._celery is None:
            flags = {"home": self.plant.home, "broker.url": self.plant.valkey.url}
            self._celery = make_celery(load_settings(flags=flags))
        return self._celery

    def calm_down(self) -> None:
        """Take back what operators hold up: held jobs, drained workers, paused queues."""
        from db.control import release_job, resume_worker
        from db.queues import resume_queue
        from db.workers import present_workers

        def act(session: Session) -> None:
            resume_queue(session, "default", actor="operator")
            for worker in present_workers(session):
                if worker.draining:
                    resume_worker(session, worker.id, actor="operator")

        with suppress(NotNow):
            self.act(act)
        held = select(Task.job_id).where(Task.state == State.HELD).distinct()
        with suppress(NotNow):
            for job_id in self.ask(lambda session: session.scalars(held).all()):
                with suppress(NotNow):
                    self.act(lambda session, job_id=job_id: release_job(session, job_id, actor="operator"))  # type: ignore[misc]


def _running(member: Member) -> Member:
    if member.process is None or member.is_stopped or member.process.poll() is not None:
        raise NotNow
    return member

"""Customers who keep a line busy, remember what they were promised, and never trust a lost answer."""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database, open_database
from db.tables.jobs import Job
from pixmill.errors import PixmillError
from pixmill.settings import Settings, load_settings
from pixmill.specs import JobOptions, PingSpec, Spec, parse_spec
from pixmill.states import TERMINAL, State
from scheduler.submit import submit, submit_many

SUBMITTERS = 3  # processes that submit one key at once
LOOK_SECONDS = 0.15  # between two looks at what is unfinished
KEPT_BUSY = 8  # unfinished jobs
BURST = 24  # jobs that one customer submits at once: enough of the short ones to be held by the handful
BURST_SHARE = 0.05  # of the looks


@dataclass(frozen=True)
class Order:
    """A kind of request, and how often it is made."""

    name: str
    spec: Spec
    weight: float


class Load:
    """A thread that submits jobs under keys of its own as long as the line has few of them."""

    def __init__(self, database: Database, settings: Settings, orders: Sequence[Order], rng: random.Random) -> None:
        self._database = database
        self._settings = settings
        self._orders = orders
        self._rng = rng
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="customers", daemon=True)
        self._pool = _submitters(settings)
        self._number = 0
        self._unanswered: dict[str, tuple[Spec, JobOptions]] = {}
        self.submitted: dict[str, int | None] = {}  # key → the job id that was acknowledged
        self.unfinished: Sequence[int] = ()  # job ids
        self.ended = 0
        self.refused: list[str] = []  # answers that no customer should get

    def start(self) -> None:
        """Begin to submit."""
        self._thread.start()

    def pause(self) -> None:
        """Submit no more."""
        self._stop.set()
        self._thread.join()

    def stop(self) -> None:
        """Get an answer for every key that has none; nothing may be stopped or away any more."""
        deadline = time.monotonic() + 30.0
        while self._unanswered and time.monotonic() < deadline:
            self._ask_again()
        self._pool.shutdown(cancel_futures=True)

    def rush(self, rng: random.Random) -> tuple[str, "list[Future[int | None]]"]:
        """Let several processes submit the same job under the same key at once."""
        key, spec, options = self._next(rng)
        words = (spec.model_dump(mode="json"), options.model_dump(mode="json", exclude_defaults=True))
        return key, [self._pool.submit(_submit_there, *words) for _ in range(SUBMITTERS)]

    def acknowledge(self, key: str, job_id: int | None) -> None:
        """Note what was promised; without an answer the customer asks again."""
        with self._lock:
            self.submitted[key] = job_id
            if job_id is not None:
                self._unanswered.pop(key, None)

    def _next(self, rng: random.Random) -> tuple[str, Spec, JobOptions]:
        with self._lock:
            self._number += 1
            key = f"order-{self._number}"
            order = rng.choices(self._orders, [order.weight for order in self._orders])[0]
            options = self._options(rng, key, order)
            self.submitted[key] = None
            self._unanswered[key] = (order.spec, options)
        return key, order.spec, options

    def _options(self, rng: random.Random, key: str, order: Order) -> JobOptions:
        values: dict[str, Any] = {"key": key, "name": order.name, "priority": rng.randint(-2, 2), **_patience()}
        values["hold"] = rng.random() < 0.04
        if self.unfinished and rng.random() < 0.15:
            values |= {"after": [rng.choice(self.unfinished)], "after_policy": "any"}
        return JobOptions(**values)

    def _work(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self._look()
                self._ask_again()
                for _ in range(KEPT_BUSY - len(self.unfinished)):
                    self._submit(*self._next(self._rng))
                if self._rng.random() < BURST_SHARE:
                    self._burst()
            except (PixmillError, SQLAlchemyError):
                continue  # the database is away; the next look may find it

    def _burst(self) -> None:
        """Submit many short jobs in one transaction; what is not answered is asked again, one by one."""
        with self._lock:
            first, self._number = self._number + 1, self._number + BURST
            orders = {
                f"order-{number}": JobOptions(key=f"order-{number}", **_patience())
                for number in range(first, first + BURST)
            }
            self.submitted.update(dict.fromkeys(orders))
            self._unanswered.update({key: (PingSpec(), options) for key, options in orders.items()})
        asked = [(PingSpec(), options) for options in orders.values()]
        for key, answer in zip(orders, submit_many(self._database, self._settings, asked, user="burst"), strict=True):
            self.acknowledge(key, answer.job_id)

    def _look(self) -> None:
        with self._database.read() as session:
            self.unfinished = session.scalars(select(Job.id).where(Job.state.not_in(TERMINAL)).order_by(Job.id)).all()
            self.ended = session.scalar(select(func.count()).where(Job.state.in_(TERMINAL))) or 0

    def _ask_again(self) -> None:
        for key, (spec, options) in list(self._unanswered.items()):
            self._submit(key, spec, options)

    def _submit(self, key: str, spec: Spec, options: JobOptions) -> None:
        try:
            job_id = submit(self._database, self._settings, spec, options, user=f"user-{len(key) % 3}").job_id
        except (PixmillError, SQLAlchemyError) as error:
            if not is_outage(error):
                self.refused.append(f"{key}: {type(error).__name__}: {error}")
            return
        self.acknowledge(key, job_id)


def is_outage(error: Exception) -> bool:
    """Whether this is what somebody must expect while the database is stopped, cut or locked."""
    from pixmill.errors import DatabaseUnreachable

    return isinstance(error, DatabaseUnreachable)


def _patience() -> Mapping[str, Any]:
    """A disk that was full must not end a job here: it is tried again, soon and often."""
    known = JobOptions.model_fields
    return {name: value for name, value in (("retries", 50), ("retry_seconds", 0.5)) if name in known}


def _submitters(settings: Settings) -> ProcessPoolExecutor:
    flags = {"home": settings.home, "database.url": settings.database_url, "broker.url": settings.broker_url}
    # Spawned, not forked: this process has threads and open databases.
    return ProcessPoolExecutor(
        SUBMITTERS, mp_context=get_context("spawn"), initializer=_open_there, initargs=({**flags},)
    )


_there: tuple[Database, Settings] | None = None


def _open_there(flags: Mapping[str, Any]) -> None:
    global _there
    settings = load_settings(flags=flags)
    _there = open_database(settings), settings


def _submit_there(spec: Mapping[str, Any], options: Mapping[str, Any]) -> int | None:
    """In a process of its own: the job id, or None when the database is away."""
    assert _there is not None
    try:
        return submit(*_there, parse_spec(spec), JobOptions(**options), user="rush").job_id
    except (PixmillError, SQLAlchemyError) as error:
        if is_outage(error):
            return None
        raise


def unfinished_jobs(database: Database) -> dict[int, State]:
    """Job id → state of what has not ended.  Raises DatabaseUnreachable."""
    with database.read() as session:
        rows = session.execute(select(Job.id, Job.state).where(Job.state.not_in(TERMINAL)))
        return {job_id: state for job_id, state in rows}  # noqa: C416  rows are not tuples to mypy

"""A line for the rows of the fault matrix: quick, with two workers, hurt on purpose, and checked after each test."""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from sqlalchemy import select, text

from db.control import cancel_job, release_job
from db.engine import Database, open_database
from db.jobs import NewTask
from db.tables.fleet import Worker
from db.tables.jobs import Job, Role
from pixmill.errors import DatabaseUnreachable
from pixmill.settings import load_settings
from pixmill.specs import JobOptions, Spec, TrainSpec
from pixmill.states import TERMINAL
from scheduler.submit import submit_many
from tests.faults.checker import Known, check_everything
from tests.faults.hooks import Hooks
from tests.faults.processes import stands_still
from tests.faults.violation import Violation
from tests.faults.witness import install_witness
from tests.waiting import is_alive, wait_until
from tests.worker.conftest import long_train
from tests.worker.line import _SCHEDULER, _WORKER, JOB_SECONDS, Line

LEASE_SECONDS = 2.0
TICK_SECONDS = 0.2  # lines that stand all the time tick beside the tests of the others
GRACE_SECONDS = 2.0
BREATH_SECONDS = 1.5  # for what should happen at once, on a machine that is busy
SLOW = bool(os.environ.get("PIXMILL_TEST_SLOW"))  # set by `make outages`: both databases, outages at their full length

_ROUGH: dict[str, Any] = {
    "scheduler__tick_seconds": TICK_SECONDS,
    "scheduler__lease_seconds": LEASE_SECONDS,
    "scheduler__redispatch_seconds": 1.0,
    "worker__idle_heartbeat_seconds": 0.2,
    "worker__progress_deadline_seconds": 30.0,
    "worker__stop_grace_seconds": GRACE_SECONDS,
    "database__busy_timeout_seconds": 2.0,
    "broker__timeout_seconds": 1.0,
}
NO_WORK: dict[str, Any] = {"kind": "ping", "tasks": (NewTask(role=Role.PING, params={}),)}  # rows of a job
_DEVICES = {"worker": "cpu", "second-worker": "cpu:1"}


@dataclass(frozen=True)
class Holder:
    """The worker that runs a task."""

    name: str  # of its log
    process: "subprocess.Popen[bytes]"
    child: psutil.Process  # its device process

    @property
    def parent(self) -> psutil.Process:
        """The worker itself."""
        return psutil.Process(self.process.pid)


class RoughLine(Line):
    """A line whose processes are hurt on purpose.  A second worker is warm, so that it can take over at once."""

    def __init__(self, home: Path, database_url: str, broker_url: str, *, workers: int = 2, **knobs: Any) -> None:
        super().__init__(home, database_url, broker_url, **{**_ROUGH, **knobs})
        install_witness(self.database)
        self.hooks = {name: Hooks(home / "hooks" / name) for name in ("scheduler", "worker")}
        self.variables |= {name: hooks.prepare() for name, hooks in self.hooks.items()}
        self.variables["second-worker"] = self.variables["worker"]
        self.workers: dict[str, subprocess.Popen[bytes] | None] = dict.fromkeys([*_DEVICES][:workers])
        self.second_scheduler: subprocess.Popen[bytes] | None = None
        self.statuses: list[int] = []  # with which processes have ended so far
        self.pictures = home / "pictures"
        draw_pictures(self.pictures)

    def start(self) -> None:
        """Start what does not run; returns when a worker can take a task, while another may still be starting."""
        self.restart()
        wait_until(self._is_up, JOB_SECONDS)

    def restart(self) -> None:
        """Start again what has died, and do not wait for it."""
        if self._is_gone(self.scheduler):
            self.scheduler = self._spawn("scheduler", _SCHEDULER)
        for name, process in self.workers.items():
            if self._is_gone(process):
                self.workers[name] = self._spawn(name, _WORKER, _DEVICES[name])
        self.worker = self.workers["worker"]

    def _is_gone(self, process: "subprocess.Popen[bytes] | None") -> bool:
        if process is not None and process.poll() is not None:
            self.statuses.append(process.returncode)
        return process is None or process.poll() is not None

    def _is_up(self) -> bool:
        pids = {process.pid for process in self.workers.values() if process is not None}
        for name, process in self.workers.items():
            assert process is not None
            assert process.poll() is None, self.log(name)
        with self.database.read() as session:
            ready = select(Worker.pid).where(Worker.pid.in_(pids), Worker.stopped_at.is_(None))
            return any(psutil.Process(pid).children() for pid in session.scalars(ready))

    def start_second_scheduler(self) -> None:
        """A scheduler beside the first one; returns when it is at work."""
        self.second_scheduler = self._spawn("second-scheduler", _SCHEDULER)
        wait_until(lambda: "scheduler started" in self.log("second-scheduler"))

    def stop_second_scheduler(self) -> None:
        """End it, if there is one."""
        if self.second_scheduler is not None:
            self.second_scheduler.terminate()
            self.second_scheduler.wait(JOB_SECONDS)
            self.second_scheduler = None

    def stop(self) -> None:
        """End everything."""
        self.stop_second_scheduler()
        second = self.workers.get("second-worker")
        if second is not None and second.poll() is None:
            second.terminate()
        super().stop()
        if second is not None:
            second.wait(JOB_SECONDS)

    @property
    def processes(self) -> list["subprocess.Popen[bytes]"]:
        """The scheduler and the workers."""
        return [process for process in (self.scheduler, *self.workers.values()) if process is not None]

    def with_children(self, name: str) -> list[psutil.Process]:
        """The scheduler, or all workers with their device processes."""
        if name == "scheduler":
            assert self.scheduler is not None
            return [psutil.Process(self.scheduler.pid)]
        parents = [psutil.Process(process.pid) for process in self.workers.values() if process is not None]
        return [*parents, *(child for parent in parents for child in parent.children())]

    def holder(self, job_id: int) -> Holder:
        """Who runs the job's newest attempt."""
        with self.database.read() as session:
            worker = session.get_one(Worker, self.attempts(job_id)[-1].worker_id)
        for name, process in self.workers.items():
            if process is not None and process.pid == worker.pid:
                (child,) = psutil.Process(process.pid).children()
                return Holder(name, process, child)
        raise AssertionError(f"worker {worker.id}, process {worker.pid}, is not one of ours")

    def training(self, images: int = 24_000, **changes: Any) -> TrainSpec:
        """A job of a second or two, into which several checkpoints fit."""
        return long_train(images=images, dataset=f"folder:{self.pictures}", **changes)

    def submit_all(self, specs: Sequence[Spec], **options: Any) -> list[int]:
        """Submit jobs in one transaction; their ids."""
        requests = [(spec, JobOptions(**options)) for spec in specs]
        return [done.job_id for done in submit_many(self.database, self.settings, requests, user="tester")]

    def wait_for(self, condition: Callable[[], object], job_id: int) -> None:
        """Wait until `condition` holds; the failure of a test tells what the job did instead."""
        try:
            wait_until(condition, JOB_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(job_id)}") from None

    def wait_for_all(self, jobs: list[int], timeout: float = JOB_SECONDS) -> None:
        """Wait until all of these jobs have ended."""
        ended = select(Job.id).where(Job.id.in_(jobs), Job.state.in_(TERMINAL))

        def are_over() -> bool:
            with self.database.read() as session:
                return len(session.scalars(ended).all()) == len(set(jobs))

        try:
            wait_until(are_over, timeout)
        except AssertionError as error:
            stuck = next(job for job in jobs if not self.job(job).state.is_terminal)
            raise AssertionError(f"{error}\n{self.story(stuck)}") from None

    def tend_until(self, condition: Callable[[], object]) -> None:
        """Wait, and meanwhile start again whatever dies."""

        def tended() -> object:
            self.restart()
            return condition()

        wait_until(tended, JOB_SECONDS)

    def jobs(self) -> Sequence[Job]:
        """All jobs."""
        with self.database.read() as session:
            return session.scalars(select(Job).order_by(Job.id)).all()

    def release(self, job_id: int) -> None:
        """Let a held job go on."""
        self.database.transact(partial(release_job, job_id=job_id, actor="tester"))

    def database_waiting(self, seconds: float) -> Database:
        """The line's database, for one who waits for a lock no longer than this."""
        flags = {"home": self.home, "database.url": self.settings.database_url}
        return open_database(load_settings(flags={**flags, "database.busy_timeout_seconds": seconds}))

    def violations(self) -> list[Violation]:
        """The promises that this line has broken; nothing may be going on any more."""
        return check_everything(self.database, self.settings.storage_root, Known())

    def clear(self) -> None:
        """Cancel what a failed test has left, so that the next test has the line to itself."""
        for job in self.jobs():
            if not job.state.is_terminal:
                self.database.transact(partial(cancel_job, job_id=job.id, actor="tester", force=True))


def draw_pictures(folder: Path) -> None:
    """Twenty small pictures of two classes."""
    noise = np.random.default_rng(0)
    for number in range(20):
        path = folder / ("even" if number % 2 == 0 else "odd") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = noise.integers(0, 128, (16, 16), dtype=np.uint8) + np.uint8(100 * (number % 2))
        Image.fromarray(pixels).save(path)


@contextmanager
def stopped(*processes: psutil.Process) -> Iterator[None]:
    """While this lasts, the processes stand still (SIGSTOP); they are sure to run again."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            if is_alive(process):
                process.resume()


@contextmanager
def frozen(line: RoughLine, holder: Holder) -> Iterator[None]:
    """While this lasts, worker and device process stand still, but in no transaction that keeps others waiting."""

    def stands_apart() -> bool:
        holder.parent.suspend()
        wait_until(lambda: stands_still(holder.parent.pid))
        if blocks_nobody(line):
            return True
        holder.parent.resume()
        return False

    with stopped(holder.child):  # first, so that the worker has nothing more to write down
        try:
            wait_until(stands_apart, pause=0.1)  # in which it ends the transaction that it was stopped in
            yield
        finally:
            holder.parent.resume()


def blocks_nobody(line: RoughLine) -> bool:
    """Whether no process has been in the same transaction for a while."""
    if line.database.is_sqlite:
        database = line.database_waiting(0.3)
        try:
            with database.write() as session:
                session.connection()  # a transaction begins with its first statement, and only then takes the lock
                return True
        except DatabaseUnreachable:
            return False
        finally:
            database.dispose()
    time.sleep(0.3)
    idle = "state LIKE 'idle in transaction%' AND clock_timestamp() - state_change > interval '0.2 s'"
    ours = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {idle}"
    with line.database.read() as session:
        return not session.scalar(text(ours))


def seconds_until(condition: Callable[[], object], timeout: float = JOB_SECONDS) -> float:
    """How long it takes until `condition` holds."""
    started = time.monotonic()
    wait_until(condition, timeout)
    return time.monotonic() - started


def seeded(name: str) -> random.Random:
    """Random numbers that are the same in every run, unless PIXMILL_TEST_SEED names another series."""
    return random.Random(f"{os.environ.get('PIXMILL_TEST_SEED', '0')}:{name}")

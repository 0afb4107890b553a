"""How soon an idle worker starts a job: from just before submit to the task's row being `running`.

    python -m benchmarks.pickup [--jobs 100] [--database sqlite|postgresql]… [--json FILE]

A real scheduler, a real worker and a real Valkey with the product's own settings; the jobs make one image each. Two
clocks: the database's (the submit event against the attempt's start) and this process's monotonic one, which includes
the submit's own transaction and is read by a second thread that watches the row. PostgreSQL runs with fsync on.
"""

import argparse
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import ClassVar

from sqlalchemy import select

from benchmarks.machine import store
from db.engine import Database
from db.schema import upgrade_schema
from db.tables.jobs import Attempt, Event, Task
from pixmill.specs import GenerateSpec, JobOptions, Spec, TrainSpec
from pixmill.states import State
from scheduler.submit import submit
from tests.servers import Postgres, Valkey
from tests.worker.line import Line

WARM_UPS = 5
PAUSE = 0.2  # seconds of rest before each submit: the worker is idle
LOOK_PAUSE = 0.003  # seconds between two looks at the row
GIVE_UP = 30.0  # seconds
DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class PickUp:
    """One job, in milliseconds since just before submit (wall) or since the submit event (database)."""

    wall: float
    database: float
    queued: float  # the scheduler's part


@dataclass(frozen=True)
class Summary:
    """All jobs on one database, in milliseconds."""

    database: str
    jobs: int
    wall_p50: float
    wall_p95: float
    wall_max: float
    database_p50: float
    database_p95: float
    database_max: float
    queued_p50: float


class DurablePostgres(Postgres):
    """The tests' server without their shortcuts."""

    options: ClassVar[Mapping[str, str]] = {}


class Watcher(threading.Thread):
    """Says when a job's first task began to run, as this process sees it."""

    def __init__(self, database: Database) -> None:
        super().__init__(name="watcher", daemon=True)
        self._database = database
        self._jobs: queue.Queue[int] = queue.Queue()
        self._seen: queue.Queue[float] = queue.Queue()

    def watch(self, job_id: int) -> None:
        """Look out for this job."""
        self._jobs.put(job_id)

    def seen_at(self) -> float:
        """When it began, on the monotonic clock."""
        return self._seen.get(timeout=GIVE_UP)

    def run(self) -> None:
        while True:
            job_id = self._jobs.get()
            while not self._has_begun(job_id):
                time.sleep(LOOK_PAUSE)
            self._seen.put(time.monotonic())

    def _has_begun(self, job_id: int) -> bool:
        begun = select(Task.id).where(Task.job_id == job_id, Task.number == 0, Task.lease_epoch > 0)
        with self._database.read() as session:
            return session.scalar(begun) is not None


def measure(line: Line, jobs: int) -> list[PickUp]:
    """Submit jobs one after the other to an idle worker."""
    train = TrainSpec(model="vae", dataset="digits", image_size=8, images=128, options={"width": 4})
    line.run(train, name="tiny")
    watcher = Watcher(line.database)
    watcher.start()
    found = []
    for number in range(WARM_UPS + jobs):
        time.sleep(PAUSE)
        one = pick_up(line, watcher, GenerateSpec(model="tiny", n=1, seed=number))
        if number >= WARM_UPS:
            found.append(one)
    return found


def pick_up(line: Line, watcher: Watcher, spec: Spec) -> PickUp:
    """Submit one job, and wait for its end."""
    started = time.monotonic()
    job_id = submit(line.database, line.settings, spec, JobOptions(), user="benchmark").job_id
    watcher.watch(job_id)
    wall = watcher.seen_at() - started
    assert line.wait(job_id) is State.SUCCEEDED, line.story(job_id)
    submitted, queued, begun = _times(line.database, job_id)
    to_queued, to_begun = (queued - submitted).total_seconds(), (begun - submitted).total_seconds()
    return PickUp(wall=wall * 1000, database=to_begun * 1000, queued=to_queued * 1000)


def _times(database: Database, job_id: int) -> tuple[datetime, datetime, datetime]:
    events = select(Event.at).where(Event.job_id == job_id).order_by(Event.id)
    attempts = select(Attempt.started_at).join(Task).where(Task.job_id == job_id).order_by(Attempt.id)
    with database.read() as session:
        submitted = session.scalars(events.where(Event.action == "submit")).one()
        queued = session.scalars(events.where(Event.action == "queue")).first()
        begun = session.scalars(attempts).first()
    assert queued is not None
    assert begun is not None
    return submitted, queued, begun


def summarise(name: str, found: list[PickUp]) -> Summary:
    """The figures of one database."""
    wall = [one.wall for one in found]
    by_database = [one.database for one in found]
    return Summary(
        database=name,
        jobs=len(found),
        wall_p50=round(median(wall), 1),
        wall_p95=round(quantiles(wall, n=20)[-1], 1),
        wall_max=round(max(wall), 1),
        database_p50=round(median(by_database), 1),
        database_p95=round(quantiles(by_database, n=20)[-1], 1),
        database_max=round(max(by_database), 1),
        queued_p50=round(median(one.queued for one in found), 1),
    )


@contextmanager
def started_line(name: str) -> Iterator[Line]:
    """A whole production line on a fresh database."""
    folder = Path(tempfile.mkdtemp(prefix="pixmill-", dir="/tmp"))  # short enough for sockets
    broker = Valkey(folder)
    broker.start()
    try:
        with database_server(name, folder) as url:
            line = Line(folder / "home", url, broker.url, quick=False, worker__threads=1)
            upgrade_schema(line.database)
            try:
                line.start()
                yield line
            finally:
                line.stop()
    finally:
        broker.kill()
        shutil.rmtree(folder)


@contextmanager
def database_server(name: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if name == "sqlite":
        yield f"sqlite:///{folder / 'pixmill.db'}"
        return
    data = folder / "postgres"
    data.mkdir()
    folder.chmod(0o755)
    server = DurablePostgres(data)
    server.create()
    server.start()
    try:
        yield server.url("postgres")
    finally:
        server.stop()


def main() -> None:
    """Measure, print a table, and write the JSON."""
    parser = argparse.ArgumentParser(description="how soon an idle worker starts a job")
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--database", action="append", choices=DATABASES)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    summaries = []
    for name in arguments.database or DATABASES:
        with started_line(name) as line:
            summaries.append(summarise(name, measure(line, arguments.jobs)))
        print_summary(summaries[-1])
    store(arguments, ("jobs",), [asdict(summary) for summary in summaries], with_torch=False)


def print_summary(summary: Summary) -> None:
    """One block of the table, in milliseconds."""
    print(f"{summary.database}: {summary.jobs} jobs      p50      p95      max   (ms)")
    print(f"  submit → running, wall {summary.wall_p50:8.1f} {summary.wall_p95:8.1f} {summary.wall_max:8.1f}")
    db_figures = f"{summary.database_p50:8.1f} {summary.database_p95:8.1f} {summary.database_max:8.1f}"
    print(f"  by the database's clock{db_figures}")
    print(f"  of this, until queued  {summary.queued_p50:8.1f}", flush=True)


if __name__ == "__main__":
    main()

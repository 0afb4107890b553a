"""How far one database carries: workers by the hundred that beat each second and end a task every half minute.

    python -m benchmarks.fleet [--workers 10]… [--seconds 60] [--database sqlite|postgresql]… [--json FILE]

No worker computes anything, and none is a process of its own: drivers (processes, each with some threads) send for each
simulated worker the very statements of a real one, when they are due: a heartbeat of its lease each second, one of the
worker itself every five, and the end of its task with the claim of the next in one transaction. A real scheduler ticks
beside them. Milliseconds are from the moment when a statement was sent until its commit was known; how late it was sent
is told apart: where that grows, the database, or this machine, carries no more. The drivers take processor time from
the database; a real fleet has machines of its own.

A real worker keeps two connections; here the threads share theirs, so that the limit of connections is not what is
measured.
"""

import argparse
import heapq
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy.orm import Session

from benchmarks.machine import store
from benchmarks.pickup import DATABASES
from benchmarks.reliability_queues import registered
from benchmarks.reliability_site import Site, site
from db.engine import open_database
from db.handfuls import Success, claim_alike, succeed_all
from db.jobs import add_jobs
from db.leases import Lease, heartbeat
from db.tables.fleet import Worker
from db.tables.jobs import Role
from db.workers import beat_worker
from pixmill.settings import load_settings
from pixmill.specs import JobOptions, PingSpec
from scheduler.broker import WakeUpSender
from scheduler.messages import make_celery
from scheduler.submit import prepare
from scheduler.tick import Ticker
from storage.paths import Layout

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_CONTEXT = multiprocessing.get_context("spawn")
FLEETS = (10, 30, 100, 300, 1000)
BEAT_SECONDS, HEART_SECONDS, TASK_SECONDS, TICK_SECONDS = 1.0, 5.0, 30.0, 1.0
PERIODS = {"beat": BEAT_SECONDS, "heart": HEART_SECONDS, "claim": TASK_SECONDS}
DRIVERS, THREADS = 4, 8
CARRIED_MS = 1000.0  # as late as a heartbeat may be sent, p95: its own period


@dataclass(frozen=True)
class Fleet:
    """What one fleet asked of one database, and what it got."""

    database: str
    workers: int
    asked: float  # transactions a second
    done: float
    late_p95: float  # milliseconds
    heartbeat_p95: float
    claim_p95: float  # with the end of the task before
    tick_p95: float
    driver_cpu: float  # processors that the drivers kept busy
    carried: bool


@dataclass
class Times:
    """Milliseconds of each sort of act, and how late each began."""

    of: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in PERIODS})
    late: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def merge(self, other: "Times") -> None:
        """Add those of another driver."""
        for name, found in other.of.items():
            self.of[name] += found
        self.late += other.late
        self.cpu_seconds += other.cpu_seconds


def measure(kind: str, workers: int, seconds: float) -> Fleet:
    """Let a fleet work for so many seconds, once every worker has claimed its first task."""
    with site(kind) as here:
        _fill(here, workers, seconds)
        ids = [here.act(registered, number).id for number in range(workers)]
        flags = {"home": str(here.home), "database.url": here.settings.database_url}
        parts = [part for first in range(DRIVERS) if (part := ids[first::DRIVERS])]
        drivers = [_started(flags, part, seconds) for part in parts]
        for line in drivers:
            line.recv()  # it is ready
        begins = time.time() + 1.0
        for line in drivers:
            line.send(begins)
        ticks = _tick(here, begins, seconds)
        total = Times()
        for line in drivers:
            total.merge(line.recv())
    return _fleet(kind, workers, seconds, total, ticks)


def _started(flags: dict[str, str], worker_ids: Sequence[int], seconds: float) -> "Connection[Any, Any]":
    """A driver, and the line to it."""
    ours, theirs = _CONTEXT.Pipe()
    _CONTEXT.Process(target=_drive, args=(theirs, flags, worker_ids, seconds), daemon=True).start()
    theirs.close()
    return ours


def _fleet(kind: str, workers: int, seconds: float, times: Times, ticks: Sequence[float]) -> Fleet:
    asked = workers * (1 / BEAT_SECONDS + 1 / HEART_SECONDS + 1 / TASK_SECONDS)
    late = _p95(times.late)
    return Fleet(
        database=kind,
        workers=workers,
        asked=round(asked, 1),
        done=round(sum(map(len, times.of.values())) / seconds, 1),
        late_p95=late,
        heartbeat_p95=_p95(times.of["beat"]),
        claim_p95=_p95(times.of["claim"]),
        tick_p95=_p95(ticks),
        driver_cpu=round(times.cpu_seconds / seconds, 2),
        carried=late <= CARRIED_MS,
    )


def _p95(milliseconds: Sequence[float]) -> float:
    return round(float(np.percentile(milliseconds, 95)), 1) if milliseconds else 0.0


def _fill(here: Site, workers: int, seconds: float) -> None:
    """Jobs of one task, more than can be ended."""
    plain = here.act(prepare, PingSpec(), JobOptions(), user="ann")
    count = round(workers * (2 + seconds / TASK_SECONDS))
    for first in range(0, count, 5000):
        here.act(partial(add_jobs, new=[plain] * min(5000, count - first)))


def _tick(here: Site, begins: float, seconds: float) -> list[float]:
    """Milliseconds of each tick of the scheduler."""
    ticker = Ticker(here.database, WakeUpSender(make_celery(here.settings), here.settings), here.settings.scheduler)
    found = []
    while time.time() < begins + seconds:
        started = time.perf_counter()
        ticker.tick()
        taken = time.perf_counter() - started
        if time.time() >= begins:
            found.append(1000 * taken)
        time.sleep(max(0.0, TICK_SECONDS - taken))
    return found


def _drive(line: "Connection[Any, Any]", flags: dict[str, str], worker_ids: Sequence[int], seconds: float) -> None:
    """Be some of the workers; one process, some threads."""
    database = open_database(load_settings(flags=flags))
    with database.read() as session:
        workers = [session.get_one(Worker, worker_id) for worker_id in worker_ids]
        for worker in workers:
            _ = worker.device.kind  # loaded now: the rows are used after their session
    threads = [_Thread(flags, part) for first in range(THREADS) if (part := workers[first::THREADS])]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(_Thread.claim_first, threads))
        line.send("ready")
        begins = line.recv()
        cpu = time.process_time()
        found = list(pool.map(lambda thread: thread.run(begins, seconds), threads))
    times = Times(cpu_seconds=time.process_time() - cpu)
    for one in found:
        times.merge(one)
    line.send(times)


class _Thread:
    """Some workers, one act after the other, each when it is due."""

    def __init__(self, flags: dict[str, str], workers: Sequence[Worker]) -> None:
        self._database = open_database(load_settings(flags=flags))
        self._workers = workers
        self._leases: dict[int, Lease] = {}
        self._acts = {"beat": self._beat, "heart": self._heart, "claim": self._claim}

    def claim_first(self) -> None:
        """Let each worker hold a task."""
        for worker in self._workers:
            while worker.id not in self._leases:
                self._claim(worker)

    def run(self, begins: float, seconds: float) -> Times:
        """Act from a moment on for so long."""
        times = Times()
        due = [
            (begins + period * (number + 0.5) / len(self._workers), number, name)
            for number in range(len(self._workers))
            for name, period in PERIODS.items()
        ]
        heapq.heapify(due)
        while due[0][0] < begins + seconds and time.time() < begins + seconds:
            at, number, name = heapq.heappop(due)
            time.sleep(max(0.0, at - time.time()))
            begun, started = time.time(), time.perf_counter()
            self._acts[name](self._workers[number])
            times.of[name].append(1000 * (time.perf_counter() - started))
            times.late.append(1000 * (begun - at))
            heapq.heappush(due, (at + PERIODS[name], number, name))
        self._database.dispose()
        return times

    def _beat(self, worker: Worker) -> None:
        lease = self._leases.get(worker.id)
        if lease is not None:
            self._database.transact(partial(heartbeat, lease=lease, progress={"done": 1, "total": 2}, done=1))

    def _heart(self, worker: Worker) -> None:
        self._database.transact(partial(beat_worker, worker_id=worker.id))

    def _claim(self, worker: Worker) -> None:
        found = self._database.transact(partial(self._next, worker=worker))
        self._leases.pop(worker.id, None)
        self._leases |= {lease.worker_id: lease for lease in found}

    def _next(self, session: Session, worker: Worker) -> list[Lease]:
        held = self._leases.get(worker.id)
        if held is not None:
            succeed_all(session, [Success(lease=held, done=0, result={})])
        # None where others have locked the jobs that come next: then with the next claim.
        return claim_alike(session, worker, Role.PING, 1, Layout.run_path, patient=held is None)


def main() -> None:
    """Measure, print the table, and write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.fleet", description="how many workers one database carries")
    parser.add_argument("--workers", type=int, action="append")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--database", action="append", choices=DATABASES)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    fleets = []
    print("database    workers  asked/s   done/s  late p95  heartbeat p95  claim p95  tick p95  drivers' CPU  carried")
    for kind in arguments.database or DATABASES:
        for workers in arguments.workers or FLEETS:
            one = measure(kind, workers, arguments.seconds)
            fleets.append(one)
            print(
                f"{one.database:11} {one.workers:7,} {one.asked:8,.1f} {one.done:8,.1f} {one.late_p95:6,.0f} ms"
                f" {one.heartbeat_p95:11,.1f} ms {one.claim_p95:7,.1f} ms {one.tick_p95:6,.1f} ms"
                f" {one.driver_cpu:13.2f}  {'yes' if one.carried else 'no'}",
                flush=True,
            )
    store(arguments, ("seconds",), [asdict(one) for one in fleets], with_torch=False)


if __name__ == "__main__":
    main()

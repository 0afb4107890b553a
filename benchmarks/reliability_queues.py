"""What a long queue costs: to be submitted, and to be looked at by every tick."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import median

from sqlalchemy.orm import Session

from benchmarks import pickup
from benchmarks.reliability_figures import Figure, seconds_figure
from benchmarks.reliability_site import Site, site
from db.arrays import NewArray
from db.claims import claim
from db.jobs import NewJob, add_jobs
from db.leases import finish
from db.tables.fleet import DeviceKind, Worker
from db.tables.jobs import Outcome
from db.workers import DeviceFacts, beat_worker, register_worker
from pixmill.specs import JobOptions, PingSpec, TrainSpec
from scheduler.broker import WakeUpSender
from scheduler.messages import make_celery
from scheduler.names import celery_queue
from scheduler.submit import prepare, submit_many
from scheduler.tick import Ticker

DEVICES = 4
BATCH_JOBS = 10_000
USERS, QUEUES = ("ann", "ben", "cid"), ("default", "night")


def submit(kind: str, jobs: int, repetitions: int) -> Figure:
    """Seconds to submit train jobs with different seeds by one call, checks and the poke of the scheduler included.

    One transaction adds all or none. A scheduler runs and looks at the growing queue; no worker does.
    """
    with site(kind, schedulers=1) as here:
        before = time.process_time()
        seconds = [_submit(here, jobs, first=number * jobs) for number in range(repetitions)]
        busy = round((time.process_time() - before) / repetitions, 2)
    return seconds_figure(f"submit of {jobs:,} jobs", kind, seconds, goal=5.0, more={"own CPU": busy})


def _submit(here: Site, jobs: int, first: int) -> float:
    specs = [TrainSpec(model="vae", dataset="digits", seed=first + number) for number in range(jobs)]
    started = time.monotonic()
    submit_many(here.database, here.settings, [(spec, JobOptions()) for spec in specs], user="benchmark")
    return time.monotonic() - started


def pick_up(kind: str, jobs: int) -> Figure:
    """Seconds from just before submit until an idle warm worker runs the job, one job of kind ping after the other.

    By the monotonic clock of this process, whose second thread looks at the row every 3 ms: see benchmarks.pickup.
    """
    with pickup.started_line(kind) as line:
        watcher = pickup.Watcher(line.database)
        watcher.start()
        found = []
        for number in range(pickup.WARM_UPS + jobs):
            time.sleep(pickup.PAUSE)
            one = pickup.pick_up(line, watcher, PingSpec())
            if number >= pickup.WARM_UPS:
                found.append(one)
    queued = median(one.queued for one in found) / 1000
    seconds = [one.wall / 1000 for one in found]
    return seconds_figure("pick-up", kind, seconds, goal=0.05, statistic="p95", more={"until queued p50": queued})


def tick(kind: str, waiting: int, ticks: int, *, blocked: int = 0, arrays: int = 0) -> Figure:
    """Seconds of one `Ticker.tick()` that fills four free slots from a long queue, in this process, to a real broker.

    Three users wait in two queues. With `blocked`, that many jobs at the head wait for a job that is held; with
    `arrays`, the head are so many arrays of 10,000 jobs whose limit lets none run. Between two ticks, and not
    measured, the four workers claim and finish what was queued for them.
    """
    with site(kind) as here:
        _fill(here, waiting - arrays * BATCH_JOBS, blocked, arrays)
        workers = [here.act(registered, number) for number in range(DEVICES)]
        ticker = Ticker(here.database, WakeUpSender(make_celery(here.settings), here.settings), here.settings.scheduler)
        ticker.tick()
        timed = [_tick(here, ticker, workers) for _ in range(ticks)]
    name = f"tick, {waiting:,} wait" + (f", first {blocked:,} for a parent" if blocked else "")
    name += f", first {arrays * BATCH_JOBS:,} of {arrays} full arrays" if arrays else ""
    seconds, busy = zip(*timed, strict=True)
    return seconds_figure(name, kind, seconds, goal=0.05, statistic="p95", more={"own CPU p50": round(median(busy), 4)})


def _tick(here: Site, ticker: Ticker, workers: list[Worker]) -> tuple[float, float]:
    """Seconds of one tick, by the wall's clock and of this process's processor time."""
    for worker in workers:
        here.act(_work, worker)
    with here.broker.client() as client:
        client.delete(celery_queue("cpu"))
    started, busy = time.perf_counter(), time.process_time()
    sent = ticker.tick()
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    assert sent == len(workers), f"{sent} wake-ups were sent"
    return seconds, busy


def registered(session: Session, number: int) -> Worker:
    facts = DeviceFacts(host="here", name=f"cpu:{number}", kind=DeviceKind.CPU, model="none", memory_bytes=0)
    worker = register_worker(session, facts, pid=number)
    session.refresh(worker)
    _ = worker.device.kind  # loaded now: the row is used after its session
    return worker


def _work(session: Session, worker: Worker) -> None:
    beat_worker(session, worker.id)
    lease = claim(session, worker, None, lambda *numbers: "/".join(map(str, numbers)))
    assert lease is not None
    finish(session, lease, Outcome.SUCCEEDED)


def _fill(here: Site, waiting: int, blocked: int, arrays: int) -> None:
    """Add the rows, those that wait for a parent first, in batches that take turns between users and queues."""
    plain = here.act(prepare, PingSpec(), JobOptions(), user="ann")
    for _ in range(arrays):
        _add_full_array(here, plain)
    parents = {}
    if blocked:
        (parent,) = here.act(add_jobs, [replace(plain, hold=True)])
        parents = {parent: False}
    head = [replace(job, parents=parents) for job in _mixed(plain, blocked)]
    for jobs in (head, list(_mixed(plain, waiting - blocked))):
        for first in range(0, len(jobs), BATCH_JOBS):
            here.act(partial(add_jobs, new=jobs[first : first + BATCH_JOBS]))


def _add_full_array(here: Site, plain: NewJob) -> None:
    array = NewArray(name="full", size=BATCH_JOBS, max_running=0, key=None, digest="", user_name=plain.user_name)
    here.act(add_jobs, [replace(plain, array=array, array_index=index) for index in range(BATCH_JOBS)])


def _mixed(plain: NewJob, count: int) -> Iterator[NewJob]:
    for number in range(count):
        yield replace(plain, user_name=USERS[number % len(USERS)], queue=QUEUES[number // len(USERS) % len(QUEUES)])

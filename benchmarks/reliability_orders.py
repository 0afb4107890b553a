"""How soon an operator's word, a lost message or a Redis that comes back takes effect; and that no rescue is false."""

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.reliability_deaths import ENDLESS, expired_leases, wait_for_work
from benchmarks.reliability_figures import Figure, seconds_figure
from benchmarks.reliability_site import Site, site
from db.control import cancel_job
from pixmill.specs import GenerateSpec, PingSpec, TrainSpec
from scheduler.names import celery_queue

TINY = TrainSpec(model="vae", dataset="digits", image_size=8, images=128, options={"width": 4})
OUTAGE_SECONDS = 5.0
THIEF_SECONDS = 3.0  # longer than a worker's own blocking pop: whoever has waited longest is served first
BURNERS_A_CORE = 2


def cancel(kind: str, repetitions: int) -> Figure:
    """Seconds from just before `cancel_job` until the job's row is terminal.

    Train and generate jobs in turn, each at a random moment within two seconds after its task began to run: while it
    reads its data, prepares, computes or writes.
    """
    with site(kind, workers=1, schedulers=1, worker__threads=1) as here:
        here.run(TINY, name="tiny")
        both = (ENDLESS, GenerateSpec(model="tiny", n=10_000_000))
        seconds = [_cancel(here, both[number % 2]) for number in range(repetitions)]
    more = {"train max": round(max(seconds[::2]), 4), "generate max": round(max(seconds[1::2]), 4)}
    return seconds_figure("cancel of a running job", kind, seconds, goal=2.0, more=more)


def _cancel(here: Site, spec: TrainSpec | GenerateSpec) -> float:
    job_id = here.submit(spec)
    here.wait(lambda: here.task(job_id).lease_epoch > 0)
    time.sleep(random.uniform(0, 2))
    started = time.monotonic()
    here.act(cancel_job, job_id, actor="benchmark")
    return here.wait(lambda: here.job(job_id).state.is_terminal) - started


def lost_wake_up(kind: str, rounds: int, workers: int) -> Figure:
    """Seconds from the theft of a wake-up until its task is claimed all the same.

    Redis serves the client first that has waited longest, so clients of this process that block on the workers' list
    for some seconds take the messages away from idle workers that listen. As many jobs as workers are submitted at
    once, all their messages are stolen, and each job's time counts from the first theft.
    """
    with site(kind, workers=workers, schedulers=1, worker__threads=1) as here:
        here.run(PingSpec())
        seconds = [second for _ in range(rounds) for second in _steal(here, workers)]
    return seconds_figure("lost wake-up → claimed", kind, seconds, goal=15)


def _steal(here: Site, count: int) -> list[float]:
    stolen: list[float] = []
    thieves = [threading.Thread(target=_pop, args=(here, stolen), daemon=True) for _ in range(count)]
    for thief in thieves:
        thief.start()
    time.sleep(THIEF_SECONDS)
    jobs = [here.submit(PingSpec()) for _ in range(count)]
    here.wait(lambda: len(stolen) == count)
    claimed_at: dict[int, float] = {}

    def are_claimed() -> bool:
        for job_id in jobs:
            if job_id not in claimed_at and here.task(job_id).lease_epoch:
                claimed_at[job_id] = time.monotonic()
        return len(claimed_at) == count

    here.wait(are_claimed)
    here.wait(lambda: all(here.job(job_id).state.is_terminal for job_id in jobs))
    return [at - min(stolen) for at in claimed_at.values()]


def _pop(here: Site, stolen: list[float]) -> None:
    with here.broker.client() as client:
        client.brpop([celery_queue("cpu")], timeout=0)
        stolen.append(time.monotonic())


def redis_gone(kind: str, repetitions: int) -> Figure:
    """Seconds from the moment when Redis answers again until a job runs that was submitted while it was away.

    The server is killed, forgets all, and starts again after five seconds: the scheduler must send and the worker
    must hear.
    """
    with site(kind, workers=1, schedulers=1, worker__threads=1) as here:
        here.run(PingSpec())
        seconds = [_outage(here) for _ in range(repetitions)]
    return seconds_figure("Redis back → consuming", kind, seconds, goal=5.0, statistic="p99")


def _outage(here: Site) -> float:
    here.broker.kill()
    ends_at = time.monotonic() + OUTAGE_SECONDS
    job_id = here.submit(PingSpec())
    time.sleep(max(0.0, ends_at - time.monotonic()))
    here.broker.start()
    started = time.monotonic()
    seconds = here.wait(lambda: here.task(job_id).lease_epoch > 0) - started
    here.wait(lambda: here.job(job_id).state.is_terminal)
    return seconds


def false_rescues(kind: str, seconds: float, workers: int) -> Figure:
    """Leases that the scheduler took for lost although their workers lived: none is right.

    Workers train, and on every core two processes burn the processor beside them.
    """
    with site(kind, workers=workers, schedulers=1, worker__threads=1) as here, _burners():
        jobs = [here.submit(ENDLESS) for _ in range(workers)]
        for job_id in jobs:
            wait_for_work(here, job_id)
        time.sleep(seconds)
        epochs = [here.task(job_id).lease_epoch for job_id in jobs]
        expired = expired_leases(here)
    assert expired or epochs == [1] * workers, f"no lease expired, but epochs are {epochs}"
    return Figure("false rescues", kind, "", expired, 0, "leases", count=workers, details={"seconds": seconds})


@contextmanager
def _burners() -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    count = BURNERS_A_CORE * (os.cpu_count() or 1)
    burners = [context.Process(target=_burn, daemon=True) for _ in range(count)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()


def _burn() -> None:
    while True:
        sum(range(100_000))

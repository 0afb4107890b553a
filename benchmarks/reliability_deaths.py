"""How soon a task waits again after the process, the host or the worker that ran it is gone."""

import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from benchmarks.reliability_figures import Figure, seconds_figure
from benchmarks.reliability_site import Process, Site, site
from db.control import cancel_job
from db.tables.fleet import Worker
from db.tables.jobs import Event, Task
from pixmill.specs import JobOptions, PingSpec, TrainSpec
from pixmill.states import State
from scheduler.submit import submit_many

ENDLESS = TrainSpec(model="vae", dataset="digits", image_size=8, images=10**9, options={"width": 4})
LEASES_A_HOST = 4
DEATH_LOOK_SECONDS = 0.02  # between two looks at all leases
HOST_GOAL_SECONDS = 45.0


def child_death(kind: str, repetitions: int) -> Figure:
    """Seconds from SIGKILL of a device process until the task's row is no longer held under the dead attempt.

    Each time another job is training, killed at a random moment within two seconds after it began; a busy look at the
    row every 2 ms ends the measurement. The worker then has to start a new device process, which is not measured.
    """
    with site(kind, workers=1, schedulers=1, worker__threads=1) as here:
        seconds = [_kill_child(here) for _ in range(repetitions)]
    return seconds_figure("child death → waiting again", kind, seconds, goal=1.0, statistic="p99")


def _kill_child(here: Site) -> float:
    job_id = here.submit(ENDLESS)
    wait_for_work(here, job_id)
    time.sleep(random.uniform(0, 2))
    child = here.device_process()
    epoch = here.task(job_id).lease_epoch
    started = time.monotonic()
    child.kill()
    ended = here.wait(lambda: _is_released(here.task(job_id), epoch))
    here.act(cancel_job, job_id, actor="benchmark")
    return ended - started


def drain(kind: str, repetitions: int) -> Figure:
    """Seconds from SIGTERM to a worker in the middle of training until its task's row is pending.

    The model is tiny, so the next step, at which training can stop, is milliseconds away; the checkpoint that is
    written then is part of the measurement. The worker is started again for the next repetition.
    """
    with site(kind, workers=1, schedulers=1, worker__threads=1) as here:
        seconds = [_terminate_worker(here) for _ in range(repetitions)]
    return seconds_figure("drain by SIGTERM → waiting again", kind, seconds, goal=1.0)


def _terminate_worker(here: Site) -> float:
    job_id = here.submit(ENDLESS)
    wait_for_work(here, job_id)
    time.sleep(random.uniform(0, 2))
    epoch = here.task(job_id).lease_epoch
    worker = here.workers["cpu"]
    started = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    ended = here.wait(lambda: _is_released(here.task(job_id), epoch))
    task = here.task(job_id)
    assert (task.preemptions, task.failures) == (1, 0), here.logs()
    worker.wait()
    here.act(cancel_job, job_id, actor="benchmark")
    here.start_workers(1)
    return ended - started


def wait_for_work(here: Site, job_id: int) -> None:
    """Wait until the job's task has said that it trains."""
    here.wait(lambda: here.task(job_id).progress.get("phase") == "training")


def _is_released(task: Task, epoch: int) -> bool:
    return task.state is not State.RUNNING or task.lease_epoch > epoch


@dataclass(frozen=True)
class Host:
    """A process group that holds leases."""

    name: str
    process: Process
    dies_at: float  # seconds after the first may die

    def kill(self) -> float:
        """SIGKILL to the whole group; gives the moment."""
        at = time.monotonic()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return at


def host_death(kind: str, leases: int, within_seconds: float) -> Figure:
    """Seconds from the death of a host until the rows of the tasks that it ran wait again.

    One death takes a whole lease, so many die in the same minute. A host is a process that registers workers, claims
    tasks and beats for them at the product's periods through the product's own functions, but computes nothing; it
    holds four leases. SIGKILL to its process group comes at a random moment. One real scheduler process with default
    settings (lease 30 s, tick 1 s) finds out. A lease that ends while its host still lives is an error.
    """
    with site(kind, schedulers=1) as here:
        submit_many(here.database, here.settings, [(PingSpec(), JobOptions())] * leases, user="benchmark")
        hosts = [
            Host(f"host-{n}", here.spawn_holder(f"host-{n}", LEASES_A_HOST), random.uniform(0, within_seconds))
            for n in range(leases // LEASES_A_HOST)
        ]
        try:
            here.wait(lambda: len(_held(here)) == leases)
            seconds = _watch_deaths(here, sorted(hosts, key=lambda host: host.dies_at))
        finally:
            for host in hosts:
                if host.process.poll() is None:
                    host.kill()
    assert len(seconds) == leases
    return seconds_figure("host death → waiting again", kind, seconds, goal=HOST_GOAL_SECONDS, statistic="p99")


def _held(here: Site) -> dict[int, str]:
    """Task → the host that runs it."""
    running = select(Task.id, Worker.name).join(Worker, Worker.id == Task.worker_id).where(Task.state == State.RUNNING)
    with here.database.read() as session:
        return {task_id: name.partition(":")[0] for task_id, name in session.execute(running)}


def _watch_deaths(here: Site, hosts: Sequence[Host]) -> list[float]:
    """Kill each host in its moment; the seconds that each of its leases then lasted."""
    held = _held(here)
    died: dict[str, float] = {}
    seconds: list[float] = []
    began = time.monotonic()
    while held:
        for host in hosts:
            if host.name not in died and time.monotonic() - began >= host.dies_at:
                died[host.name] = host.kill()
        still = _running(here)
        at = time.monotonic()
        gone = [held.pop(task_id) for task_id in held.keys() - still]
        assert set(gone) <= died.keys(), f"leases ended while their hosts lived: {set(gone) - died.keys()}"
        seconds += [at - died[host] for host in gone]
        time.sleep(DEATH_LOOK_SECONDS)
    return seconds


def _running(here: Site) -> set[int]:
    with here.database.read() as session:
        return set(session.scalars(select(Task.id).where(Task.state == State.RUNNING)))


def expired_leases(here: Site) -> int:
    """How many leases the scheduler has taken for lost so far."""
    with here.database.read() as session:
        return session.scalar(select(func.count()).select_from(Event).where(Event.action == "expire")) or 0

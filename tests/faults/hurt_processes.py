"""Faults of processes: killed, stopped, told to end, or without room for their files."""

import random
import resource
import signal
from contextlib import suppress

import psutil

from tests.faults.plant import LEASE_SECONDS, Member
from tests.faults.site import NotNow, Site, Steps
from tests.faults.violation import Invariant, Violation
from tests.waiting import is_alive

RESTART_SHARE = 0.55  # CPU seconds a second that restarts may cost: the rest of two cores is for work
# CPU seconds that a start takes, measured on the imports; most of it is torch.
DEVICE_COST, WORKER_COST, SCHEDULER_COST = 2.0, 3.0, 0.9


def device_process(member: Member) -> psutil.Process:
    """The worker's child, which is going to be hurt.  Raises NotNow while there is none."""
    children = member.children
    if not children:
        raise NotNow
    return children[0]


def kill_device_process(site: Site, rng: random.Random) -> Steps:
    """SIGKILL to the process that computes."""
    process = device_process(site.worker(rng))
    site.spend(DEVICE_COST, share=RESTART_SHARE)
    process.kill()
    yield from ()


def kill_worker(site: Site, rng: random.Random) -> Steps:
    """SIGKILL to the parent; its child must follow."""
    member = rng.choice(site.plant.workers)
    site.spend(WORKER_COST, share=RESTART_SHARE)
    if not site.plant.kill(member):
        raise NotNow
    yield from ()


def kill_scheduler(site: Site, rng: random.Random) -> Steps:
    """SIGKILL to one scheduler."""
    member = rng.choice(site.plant.schedulers)
    site.spend(SCHEDULER_COST, share=RESTART_SHARE)
    if not site.plant.kill(member):
        raise NotNow
    yield from ()


def kill_group(site: Site, rng: random.Random) -> Steps:
    """A worker, its child and a scheduler at once, as a host does that loses its power."""
    worker, scheduler = rng.choice(site.plant.workers), rng.choice(site.plant.schedulers)
    site.spend(WORKER_COST + SCHEDULER_COST, share=RESTART_SHARE)
    for child in worker.children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    site.plant.kill(worker)
    site.plant.kill(scheduler)
    yield from ()


def stop_worker_briefly(site: Site, rng: random.Random) -> Steps:
    """SIGSTOP to the parent for less than a lease."""
    yield from _stopped(site, site.worker(rng), rng.uniform(0.1, 0.7 * LEASE_SECONDS))


def make_zombie(site: Site, rng: random.Random) -> Steps:
    """SIGSTOP to the parent for more than two leases; meanwhile its child computes on, and somebody else takes over."""
    yield from _stopped(site, site.worker(rng), LEASE_SECONDS * rng.uniform(2.0, 2.5))


def make_zombie_pair(site: Site, rng: random.Random) -> Steps:
    """SIGSTOP to parent and child for more than two leases, as a host that was suspended."""
    member = site.worker(rng)
    child = device_process(member)
    child.suspend()
    yield from _stopped(site, member, LEASE_SECONDS * rng.uniform(2.0, 2.5))
    with suppress(psutil.NoSuchProcess):
        child.resume()


def stop_scheduler(site: Site, rng: random.Random) -> Steps:
    """SIGSTOP to a scheduler, for less or more than a lease."""
    yield from _stopped(site, site.scheduler(rng), rng.uniform(0.2, 1.5 * LEASE_SECONDS))


def _stopped(site: Site, member: Member, seconds: float) -> Steps:
    if not site.plant.suspend(member):
        raise NotNow
    yield seconds
    site.plant.resume(member)


def stop_device_process_briefly(site: Site, rng: random.Random) -> Steps:
    """SIGSTOP to the child, not for long enough to count as hanging."""
    process = device_process(site.worker(rng))
    process.suspend()
    yield rng.uniform(0.1, 2.0)
    with suppress(psutil.NoSuchProcess):
        process.resume()


def hang_device_process(site: Site, rng: random.Random) -> Steps:
    """SIGSTOP to the child for good: its parent must notice that nothing comes any more."""
    process = device_process(site.worker(rng))
    site.spend(DEVICE_COST, share=RESTART_SHARE)
    process.suspend()
    yield from ()


def drain(site: Site, rng: random.Random) -> Steps:
    """SIGTERM to a worker."""
    yield from _drained(site, site.worker(rng), [])


def drain_twice(site: Site, rng: random.Random) -> Steps:
    """SIGTERM to a worker, and again while it drains."""
    yield from _drained(site, site.worker(rng), [rng.uniform(0.05, 0.6)])


def _drained(site: Site, member: Member, pauses: list[float]) -> Steps:
    """SIGTERM to a worker, and again after each pause; it ends within its grace unless it is stopped meanwhile."""
    site.spend(WORKER_COST, share=RESTART_SHARE)
    if member.pid is None:
        raise NotNow
    try:
        process = psutil.Process(member.pid)  # one that is started in its place was told nothing
    except psutil.NoSuchProcess:
        raise NotNow from None
    if not member.signal(signal.SIGTERM):
        raise NotNow
    for pause in pauses:
        yield pause
        if member.pid == process.pid:
            member.signal(signal.SIGTERM)
    patience = site.plant.settings.worker.stop_grace_seconds + 3 * LEASE_SECONDS + 10.0
    while patience > 0:
        yield 0.5
        if member.is_stopped or site.plant.database_is_away:
            continue  # that time does not count
        patience -= 0.5
        if not is_alive(process):
            return
    text = f"{member.name} (pid {process.pid}) did not end after SIGTERM"
    site.plant.violations.append(Violation(Invariant.PROCESSES, text))


def fill_disk(site: Site, rng: random.Random) -> Steps:
    """A worker's child may write no file of more than some kilobytes for a while."""
    process = device_process(site.worker(rng))
    _limit_files(process.pid, rng.choice((0, 4_096, 20_000)))
    yield rng.uniform(0.1, 1.0)
    with suppress(NotNow):
        _limit_files(process.pid, resource.RLIM_INFINITY)


def _limit_files(pid: int, size_bytes: int) -> None:
    try:
        _soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, hard))
    except (ProcessLookupError, PermissionError) as error:
        raise NotNow from error

"""The faults: what can be killed, stopped, cut, stolen, doubled, spoilt or taken back, each by its name.

A fault is a function that hurts a site and yields the seconds until it goes on, to heal what it has hurt or to hurt
again. What it picks comes from its own random numbers; which moment of a job it hits cannot be chosen.
"""

import random
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Literal

import psutil
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from db.tables import DeviceKind
from scheduler.names import RUN_TASK, celery_queue
from tests.faults.plant import LEASE_SECONDS, Member, is_alive
from tests.faults.site import NotNow, Site
from tests.faults.violation import Invariant, Violation

Steps = Iterator[float]
Hurt = Callable[[Site, random.Random], Steps]
Needs = Literal["broker", "database"]

QUEUE = celery_queue(DeviceKind.CPU)
RESTART_SHARE = 0.55  # CPU seconds a second that restarts may cost: the rest of two cores is for work
# CPU seconds that a start takes, measured on the imports; most of it is torch.
DEVICE_COST, WORKER_COST, SCHEDULER_COST = 2.0, 3.0, 0.9


@dataclass(frozen=True)
class Fault:
    """A way to hurt a site."""

    name: str
    weight: float  # how often it is picked
    hurt: Hurt
    needs: Needs | None = None  # what only one fault may have in its hands at a time
    on: frozenset[str] = frozenset({"sqlite", "postgresql"})


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
    member = site.worker(rng)
    site.spend(WORKER_COST, share=RESTART_SHARE)
    member.signal(signal.SIGTERM)
    yield from _ends_in_time(site, member)


def drain_twice(site: Site, rng: random.Random) -> Steps:
    """SIGTERM to a worker, and again while it drains."""
    member = site.worker(rng)
    site.spend(WORKER_COST, share=RESTART_SHARE)
    pid = member.pid
    member.signal(signal.SIGTERM)
    yield rng.uniform(0.05, 0.6)
    if member.pid == pid:
        member.signal(signal.SIGTERM)
    yield from _ends_in_time(site, member)


def _ends_in_time(site: Site, member: Member) -> Steps:
    """A worker that was told to end ends within its grace, unless it is stopped meanwhile."""
    pid = member.pid
    if pid is None:
        return
    process = psutil.Process(pid)
    patience = site.plant.settings.worker.stop_grace_seconds + 3 * LEASE_SECONDS + 10.0
    while patience > 0:
        yield 0.5
        if member.is_stopped or site.plant.database_is_away:
            continue  # that time does not count
        patience -= 0.5
        if not is_alive(process):
            return
    text = f"{member.name} (pid {pid}) did not end after SIGTERM"
    site.plant.violations.append(Violation(Invariant.PROCESSES, text))


def stop_broker(site: Site, rng: random.Random) -> Steps:
    """SIGKILL to Redis, which keeps nothing; it is back after a while."""
    site.plant.valkey.kill()
    yield rng.uniform(0.5, 4.0) if rng.random() < 0.9 else 6.0
    site.plant.valkey.start()


def flush_broker(site: Site, rng: random.Random) -> Steps:
    """FLUSHALL: every wake-up is gone."""
    with site.broker() as client:
        client.flushall()
    yield from ()


def cut_broker_connections(site: Site, rng: random.Random) -> Steps:
    """CLIENT KILL to everybody."""
    with site.broker() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    yield from ()


def steal_wake_up(site: Site, rng: random.Random) -> Steps:
    """Take the next wake-up from its queue, and tell nobody."""
    with site.broker() as client:
        thief = client.connection_pool.get_connection()
        try:
            thief.send_command("BRPOP", QUEUE, 2)  # type: ignore[no-untyped-call]
            for _ in range(30):
                yield 0.1
                if thief.can_read(0):
                    break
            if not thief.can_read(0) or thief.read_response() is None:
                raise NotNow
        finally:
            thief.disconnect()  # type: ignore[no-untyped-call]


def repeat_wake_up(site: Site, rng: random.Random) -> Steps:
    """The same wake-up ten times."""
    _send_wake_ups(site, [site.task(rng)] * 10)
    yield from ()


def stale_wake_up(site: Site, rng: random.Random) -> Steps:
    """Wake-ups of requeues long past, or to come."""
    task_id, dispatch_seq = site.task(rng)
    _send_wake_ups(site, [(task_id, max(0, dispatch_seq + step)) for step in (-1, -2, 1)])
    yield from ()


def reorder_wake_ups(site: Site, rng: random.Random) -> Steps:
    """Wake-ups of several tasks in an order of their own."""
    _send_wake_ups(site, sorted((site.task(rng) for _ in range(4)), reverse=True))
    yield from ()


def _send_wake_ups(site: Site, wake_ups: list[tuple[int, int]]) -> None:
    try:
        for arguments in wake_ups:
            site.celery.send_task(RUN_TASK, args=arguments, queue=QUEUE, retry=False)
    except (KombuError, RedisError, OSError) as error:
        raise NotNow from error


def fill_broker(site: Site, rng: random.Random) -> Steps:
    """Redis takes no more: its memory is used up."""
    with site.broker() as client:
        client.config_set("maxmemory", "1")
    yield rng.uniform(0.3, 2.5)
    with suppress(NotNow), site.broker() as client:
        client.config_set("maxmemory", "0")


def black_hole(site: Site, rng: random.Random) -> Steps:
    """Connections to Redis stay open, and nothing passes."""
    site.plant.proxy.is_holding = True
    yield rng.uniform(0.5, 4.0)
    site.plant.proxy.is_holding = False


def restart_postgresql(site: Site, rng: random.Random) -> Steps:
    """An immediate stop, which cuts every session, and a start that recovers."""
    _stop_postgresql(site)
    _start_postgresql(site)
    yield from ()


def stop_postgresql(site: Site, rng: random.Random) -> Steps:
    """The same, with one to three leases in between."""
    _stop_postgresql(site)
    yield LEASE_SECONDS * rng.uniform(1.0, 3.0)
    _start_postgresql(site)


def _stop_postgresql(site: Site) -> None:
    assert site.plant.postgres is not None
    site.plant.database_is_away = True
    site.plant.postgres.stop()


def _start_postgresql(site: Site) -> None:
    assert site.plant.postgres is not None
    site.plant.postgres.start()
    site.plant.database_is_away = False


def cut_postgresql_connections(site: Site, rng: random.Random) -> Steps:
    """pg_terminate_backend to everybody."""
    assert site.plant.postgres is not None
    site.plant.postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    yield from ()


def lock_sqlite(site: Site, rng: random.Random) -> Steps:
    """Somebody else holds the write lock for some seconds."""
    path = site.plant.home / "pixmill.db"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=1.0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise NotNow from error
        site.plant.database_is_away = True
        yield rng.uniform(0.2, 1.6 * LEASE_SECONDS)
        connection.execute("ROLLBACK")
        site.plant.database_is_away = False


def tear_checkpoint(site: Site, rng: random.Random) -> Steps:
    """The newest checkpoint of a running job loses its second half."""
    _spoil(site, rng, lambda content: content[: len(content) // 2])
    yield from ()


def flip_bit(site: Site, rng: random.Random) -> Steps:
    """One bit of the newest checkpoint of a running job is wrong."""

    def flipped(content: bytes) -> bytes:
        place = rng.randrange(len(content))
        return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]

    _spoil(site, rng, flipped)
    yield from ()


def _spoil(site: Site, rng: random.Random, change: Callable[[bytes], bytes]) -> None:
    relative = site.newest_checkpoint(rng)
    site.damaged.add(relative)  # first of all: a worker may read it at once
    path = site.plant.settings.storage_root / relative
    try:
        content = change(path.read_bytes())
        with path.open("r+b") as file:  # never made anew: its worker may have removed it
            file.truncate(len(content))
            file.write(content)
    except (FileNotFoundError, ValueError) as error:
        raise NotNow from error


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


def submit_at_once(site: Site, rng: random.Random) -> Steps:
    """Several processes submit the same job under the same key."""
    if site.plant.database_is_away:
        raise NotNow
    key, futures = site.load.rush(rng)
    while not all(future.done() for future in futures):
        yield 0.1
    found = {future.result() for future in futures} - {None}
    if len(found) > 1:
        site.plant.violations.append(Violation(Invariant.ONCE, f"key {key} was acknowledged as the jobs {found}"))
    site.load.acknowledge(key, next(iter(found), None))


def cancel(site: Site, rng: random.Random) -> Steps:
    """An operator cancels a job, now and then by force."""
    from db.control import cancel_job

    job_id, force = site.job(rng), rng.random() < 0.3
    site.cancelled.add(job_id)  # first of all: the answer may be lost
    site.act(lambda session: cancel_job(session, job_id, actor="operator", why="chaos", force=force))
    yield from ()


def hold(site: Site, rng: random.Random) -> Steps:
    """An operator holds a job, and releases it after a while."""
    from db.control import hold_job, release_job

    job_id = site.job(rng)
    site.act(lambda session: hold_job(session, job_id, actor="operator", why="chaos"))
    yield rng.uniform(0.2, 2.0)
    with suppress(NotNow):
        site.act(lambda session: release_job(session, job_id, actor="operator"))


def requeue(site: Site, rng: random.Random) -> Steps:
    """An operator sends a running job back to the end of the queue, now and then into the held ones."""
    from db.control import release_job, requeue_job

    job_id, hold_it = site.job(rng), rng.random() < 0.3
    site.act(lambda session: requeue_job(session, job_id, actor="operator", why="chaos", hold=hold_it))
    yield rng.uniform(0.5, 2.0)
    with suppress(NotNow):
        site.act(lambda session: release_job(session, job_id, actor="operator"))


def cancel_and_retry(site: Site, rng: random.Random) -> Steps:
    """An operator cancels a job by force, and changes his mind at once, while its worker still computes."""
    from db.control import CheckpointChoice, cancel_job, retry_job

    job_id, start = site.job(rng), rng.choice((CheckpointChoice.LAST, CheckpointChoice.LAST, CheckpointChoice.NONE))
    site.cancelled.add(job_id)
    site.act(lambda session: cancel_job(session, job_id, actor="operator", why="chaos", force=True))
    yield rng.uniform(0.0, 0.6)
    with suppress(NotNow):
        site.act(lambda session: retry_job(session, job_id, actor="operator", why="chaos", start=start))


def reprioritise(site: Site, rng: random.Random) -> Steps:
    """An operator puts a job first, or gives it another priority."""
    from db.control import set_job, top_job

    job_id, priority = site.job(rng), rng.randint(-3, 3)
    if rng.random() < 0.5:
        site.act(lambda session: top_job(session, job_id, actor="operator"))
    else:
        site.act(lambda session: set_job(session, job_id, actor="operator", priority=priority))
    yield from ()


def drain_by_row(site: Site, rng: random.Random) -> Steps:
    """An operator drains a worker, and lets it work again."""
    from db.control import drain_worker, resume_worker
    from db.workers import present_workers

    workers = site.ask(present_workers)
    if not workers:
        raise NotNow
    worker_id, at_once = rng.choice(workers).id, rng.random() < 0.5
    site.act(lambda session: drain_worker(session, worker_id, actor="operator", why="chaos", now=at_once))
    yield rng.uniform(0.3, 2.0)
    with suppress(NotNow):
        site.act(lambda session: resume_worker(session, worker_id, actor="operator"))


def pause(site: Site, rng: random.Random) -> Steps:
    """An operator pauses the queue for a moment."""
    from db.queues import pause_queue, resume_queue

    site.act(lambda session: pause_queue(session, "default", actor="operator", why="chaos"))
    yield rng.uniform(0.2, 1.0)
    with suppress(NotNow):
        site.act(lambda session: resume_queue(session, "default", actor="operator"))


_SQLITE, _POSTGRESQL = frozenset({"sqlite"}), frozenset({"postgresql"})
_BROKER: Any = {"needs": "broker"}
_DATABASE: Any = {"needs": "database"}

FAULTS: tuple[Fault, ...] = (
    Fault("kill device process", 3.0, kill_device_process),
    Fault("kill worker", 2.0, kill_worker),
    Fault("kill scheduler", 2.0, kill_scheduler),
    Fault("kill worker, child and scheduler", 0.4, kill_group),
    Fault("stop worker briefly", 5.0, stop_worker_briefly),
    Fault("zombie worker", 1.0, make_zombie),
    Fault("zombie worker and child", 0.5, make_zombie_pair),
    Fault("stop scheduler", 3.0, stop_scheduler),
    Fault("stop device process briefly", 5.0, stop_device_process_briefly),
    Fault("hang device process", 0.2, hang_device_process),
    Fault("drain worker (SIGTERM)", 1.0, drain),
    Fault("drain worker twice", 0.5, drain_twice),
    Fault("stop Redis", 0.8, stop_broker, **_BROKER),
    Fault("FLUSHALL", 6.0, flush_broker, **_BROKER),
    Fault("CLIENT KILL", 6.0, cut_broker_connections, **_BROKER),
    Fault("steal wake-up", 4.0, steal_wake_up),
    Fault("repeat wake-up ×10", 6.0, repeat_wake_up),
    Fault("stale wake-up", 6.0, stale_wake_up),
    Fault("reorder wake-ups", 4.0, reorder_wake_ups),
    Fault("Redis out of memory", 0.8, fill_broker, **_BROKER),
    Fault("Redis black hole", 0.8, black_hole, **_BROKER),
    Fault("restart PostgreSQL", 0.6, restart_postgresql, **_DATABASE, on=_POSTGRESQL),
    Fault("stop PostgreSQL 1–3 leases", 0.3, stop_postgresql, **_DATABASE, on=_POSTGRESQL),
    Fault("pg_terminate_backend", 5.0, cut_postgresql_connections, **_DATABASE, on=_POSTGRESQL),
    Fault("lock SQLite", 1.5, lock_sqlite, **_DATABASE, on=_SQLITE),
    Fault("tear checkpoint", 2.0, tear_checkpoint),
    Fault("flip a bit of a checkpoint", 2.0, flip_bit),
    Fault("disk full", 1.5, fill_disk),
    Fault("same key at once", 3.0, submit_at_once),
    Fault("cancel", 4.0, cancel),
    Fault("hold and release", 5.0, hold),
    Fault("requeue", 5.0, requeue),
    Fault("cancel and retry", 4.0, cancel_and_retry),
    Fault("priority or top", 4.0, reprioritise),
    Fault("drain and resume by row", 3.0, drain_by_row),
    Fault("pause and resume queue", 2.0, pause),
)
CRASH_POINT = "crash point"  # armed at restarts, counted when a process has died of one


def faults_on(kind: str) -> list[Fault]:
    """Those that this kind of database can suffer."""
    return [fault for fault in FAULTS if kind in fault.on]

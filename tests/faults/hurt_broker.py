"""Faults of Redis, and of the wake-ups that it carries."""

import random
from contextlib import suppress

from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from db.tables.fleet import DeviceKind
from scheduler.names import RUN_TASK, celery_queue
from tests.faults.site import NotNow, Site, Steps

QUEUE = celery_queue(DeviceKind.CPU)


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

"""The scheduler's and the submitters' side of Redis: send wake-ups, poke the scheduler, wait for a poke."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from db.dispatch import WakeUp
from pixmill.settings import Settings
from scheduler.connecting import connect, unreachable
from scheduler.names import HEAR_CANARY, POKE_LIST, RUN_TASK, canary_queue, celery_queue

if TYPE_CHECKING:
    from celery import Celery

LOOK_SECONDS = 1.0  # between two looks whether the scheduler is to end
SHORTEST_WAIT = 0.01  # seconds; Redis waits for ever where it is asked to wait for less than a millisecond


def poke(settings: Settings) -> None:
    """Ask the scheduler once to look at the database now.  Raises BrokerUnreachable; the tick comes anyway."""
    poker = Poker(settings)
    try:
        poker.poke()
    finally:
        poker.close()


class Poker:
    """Asks the scheduler to look at the database now, again and again over one connection."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = connect(settings)

    def poke(self) -> None:
        """Leave word for the scheduler.  Raises BrokerUnreachable; the tick comes anyway."""
        try:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.lpush(POKE_LIST, 1)
                pipe.ltrim(POKE_LIST, 0, 0)
                pipe.execute()
        except (RedisError, OSError) as error:
            raise unreachable(self._settings, error) from error

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()


def broker_facts(settings: Settings) -> dict[str, str]:
    """Server, version and eviction policy of the broker.  Raises BrokerUnreachable."""
    client = connect(settings)
    try:
        found = dict(client.info("server")) | dict(client.info("memory"))
        facts = {key: str(value) for key, value in found.items()}
        return {
            "server": facts.get("server_name", "redis"),
            "version": facts.get("valkey_version") or facts.get("redis_version", "?"),
            "maxmemory_policy": facts.get("maxmemory_policy", "?"),
        }
    except (RedisError, OSError) as error:
        raise unreachable(settings, error) from error
    finally:
        client.close()


class WakeUpSender:
    """Sends messages to workers through Celery, by task name."""

    def __init__(self, app: "Celery", settings: Settings) -> None:
        self._app = app
        self._settings = settings

    def send(self, wake_up: WakeUp) -> None:
        """Publish one wake-up.  Raises BrokerUnreachable."""
        self._publish(RUN_TASK, (wake_up.task_id, wake_up.dispatch_seq), celery_queue(*wake_up.slot))

    def send_canary(self, worker_id: int, number: int) -> None:
        """Send a worker a message that asks for nothing but to be noticed.  Raises BrokerUnreachable."""
        self._publish(HEAR_CANARY, (number,), canary_queue(worker_id))

    def _publish(self, task: str, arguments: tuple[int, ...], queue: str) -> None:
        from kombu.exceptions import KombuError  # kept out of the start of every command

        try:
            self._app.send_task(task, args=arguments, queue=queue, retry=False)
        except (KombuError, RedisError, OSError) as error:
            raise unreachable(self._settings, error) from error


class PokeListener:
    """Waits for a poke, or for the tick's time to pass; a Redis that is away only makes it wait in full."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        patience = settings.scheduler.tick_seconds + settings.broker.timeout_seconds
        self._client = connect(settings, read_seconds=patience)

    def wait(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> bool:
        """Whether a poke arrived within `seconds`; every second it is asked whether nobody waits for it any more."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not is_over():
            look = max(SHORTEST_WAIT, min(left, LOOK_SECONDS))
            started = time.monotonic()
            try:
                if self._client.blpop([POKE_LIST], timeout=look) is not None:
                    self._client.ltrim(POKE_LIST, 1, 0)  # all: one look answers all that were left before it
                    return True
            except (RedisError, OSError):
                time.sleep(max(0.0, look - (time.monotonic() - started)))
        return False

"""What of a Redis message reaches Celery: the name of one of two tasks, and whole numbers. Nothing else of it.

Whoever can write to Redis may put anything there. Celery's own machinery would end with the worker over what is no
JSON, unpack what is compressed without a limit, keep what has an eta, call back or go on with other tasks where the
message says so, and route by a table that lies in Redis. So a message is read here, and what Celery gets is written
anew; what cannot be read is dropped with a line in the log. The scheduler sends again what was lost.
"""

import base64
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty
from typing import Any

from kombu.transport import redis as kombu_redis
from redis.exceptions import ResponseError

from scheduler.names import HEAR_CANARY, RUN_TASK

log = logging.getLogger(__name__)

MAX_BYTES = 16_384  # of a message; ours have some nine hundred
MOST_NUMBER = 2**63 - 1  # as the database has them
SHOWN_LETTERS = 60
REFUSED_PAUSE = 0.5  # seconds, after Redis has refused the question itself: it would be asked again at once
BETWEEN_LINES = 1.0  # seconds between two lines about messages that cannot be read: they may come by the million

_COUNTS = {RUN_TASK: 2, HEAR_CANARY: 1}  # numbers that go with each task


class Unreadable(Exception):
    """No message of ours; the text says why, and shows little of it."""


@dataclass(frozen=True)
class Call:
    """A task by name, and its numbers."""

    task: str
    numbers: tuple[int, ...]


def read_call(raw: bytes) -> Call:
    """What a message asks for.  Raises Unreadable, whatever the bytes are.

    >>> read_call(b"[]")
    Traceback (most recent call last):
        ...
    scheduler.transport.Unreadable: it is no wake-up
    """
    if len(raw) > MAX_BYTES:
        raise Unreadable(f"it has {len(raw):,} bytes")
    message = _json(raw)
    headers = message.get("headers") if isinstance(message, dict) else None
    if not isinstance(headers, dict) or not isinstance(headers.get("task"), str):
        raise Unreadable("it is no wake-up")
    task = headers["task"]
    if task not in _COUNTS:
        raise Unreadable(f"there is no task {task[:SHOWN_LETTERS]!r}")
    return Call(task, _numbers(message.get("body"), _COUNTS[task]))


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Unreadable("it is no JSON") from None


def _numbers(body: object, count: int) -> tuple[int, ...]:
    try:
        content = _json(base64.b64decode(body, validate=True)) if isinstance(body, str) else None
    except ValueError:
        content = None
    numbers = content[0] if isinstance(content, list) and content else None
    if not isinstance(numbers, list) or len(numbers) != count:
        raise Unreadable("its numbers cannot be read")
    if not all(type(number) is int and 0 <= number <= MOST_NUMBER for number in numbers):
        raise Unreadable("its numbers cannot be those of a task")
    return tuple(numbers)


def written(call: Call, tag: str) -> dict[str, Any]:
    """The message that Celery gets for it."""
    body = base64.b64encode(json.dumps([call.numbers, {}, {}]).encode()).decode()
    delivery = {"exchange": "", "routing_key": ""}
    return {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": call.task, "id": tag, "root_id": tag, "retries": 0, "eta": None}
        | {"expires": None, "timelimit": [None, None], "argsrepr": repr(call.numbers), "kwargsrepr": "{}"},
        "properties": {"body_encoding": "base64", "delivery_tag": tag, "delivery_info": delivery},
    }


class StrictQoS(kombu_redis.QoS):
    """Nothing is acknowledged here, so nothing is to be put back; what lies where it would be is not ours."""

    def restore_visible(self, *_arguments: Any, **_options: Any) -> None:
        """Read nothing from Redis."""


class StrictChannel(kombu_redis.Channel):
    """Hands over calls that were written anew, and puts a message on the list of its routing key, by no table."""

    QoS = StrictQoS
    connection_errors: tuple[type[BaseException], ...]  # these three: what kombu's own has
    _queue_cycle: Any
    _flush_brpop_reauth: Callable[[], None]
    _told_at = 0.0
    _untold = 0

    def _brpop_read(self, **options: Any) -> bool:
        """Take a message that has arrived.  Raises Empty where there is none for Celery."""
        try:
            queue, raw = self._answered(options)
            call = read_call(raw)
        except Unreadable as error:
            self._tell(str(error))
            raise Empty from None
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        self._queue_cycle.rotate(queue)
        self.connection._deliver(written(call, self._next_delivery_tag()), queue)
        return True

    def _answered(self, options: dict[str, Any]) -> tuple[str, bytes]:
        """Queue and message.  Raises Empty, Unreadable, or one of the errors of a lost connection."""
        try:
            answer = self.client.parse_response(self.client.connection, "BRPOP", **options)
        except self.connection_errors:
            self.client.connection.disconnect()
            raise
        except ResponseError as error:
            time.sleep(REFUSED_PAUSE)
            raise Unreadable(f"Redis refuses to give one: {str(error)[:SHOWN_LETTERS]}") from None
        if not answer:
            raise Empty
        queue, raw = answer
        name = queue.decode(errors="replace") if isinstance(queue, bytes) else str(queue)
        return name.rsplit(self.sep, 1)[0], raw if isinstance(raw, bytes) else str(raw).encode()

    def _tell(self, why: str) -> None:
        self._untold += 1
        if time.monotonic() - self._told_at >= BETWEEN_LINES:
            log.warning("a message in Redis is dropped", extra={"reason": why, "messages": self._untold})
            self._told_at, self._untold = time.monotonic(), 0

    def _lookup(self, _exchange: str, routing_key: str, _default: str | None = None) -> list[str]:
        return [routing_key]

    def _queue_bind(self, *_binding: Any) -> None:
        """No table is kept in Redis."""

    def get_table(self, _exchange: str) -> list[Any]:
        """No table is read from Redis."""
        return []


class StrictTransport(kombu_redis.Transport):
    """Celery's way to Redis, with such channels."""

    Channel = StrictChannel

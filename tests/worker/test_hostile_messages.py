"""Whoever can write to Redis can delay work, and no more than that: a worker and a scheduler live on."""

import base64
import json

from pixmill.specs import PingSpec
from scheduler.names import POKE_LIST, RUN_TASK, canary_queue, celery_queue
from tests.scheduler.test_transport import HOSTILE, message
from tests.servers import Valkey
from tests.waiting import wait_until
from tests.worker.line import Line


def test_messages_of_all_kinds_neither_end_a_worker_nor_a_scheduler(sqlite_line: Line, line_broker: Valkey) -> None:
    line = sqlite_line
    assert line.worker is not None
    assert line.scheduler is not None
    queue = celery_queue("cpu")
    raws = [*HOSTILE.values(), message(numbers=[2**62, 1]), message(numbers=[0, 0]), bomb()]
    part = int(line.settings.broker_url.rpartition("=")[2])
    with line_broker.client(part) as client:  # who may do more than pixmill may
        for raw in raws:
            client.lpush(queue, raw)
            client.lpush(POKE_LIST, raw)
        client.sadd(f"_kombu.binding.{queue}", b"nowhere", b"a\x06\x16b")
        client.hset("unacked", "x", b"no JSON")
        client.zadd("unacked_index", {"x": 0})
        wait_until(lambda: not client.llen(queue) and not client.llen(POKE_LIST), timeout=30.0)
        # What is of another type than a list is refused by the server itself, question after question.
        client.set(canary_queue(10**9), b"x")
        client.delete(queue)
        client.set(queue, b"no list")
        wait_until(lambda: "Redis refuses to give one" in line.log("worker"), timeout=30.0)
        client.delete(queue)
    line.run(PingSpec())
    assert line.worker.poll() is None
    assert line.scheduler.poll() is None
    told = line.log("worker") + line.log("scheduler")
    assert "a message in Redis is dropped" in told
    assert "Traceback" not in told


def bomb() -> bytes:
    """A wake-up that says of itself that it is compressed, and that it has a task to call afterwards."""
    body = base64.b64encode(json.dumps([[10**9, 1], {}, {"chain": [{"task": RUN_TASK}]}]).encode()).decode()
    headers = {"task": RUN_TASK, "compression": "bzip2", "eta": "1970-01-01T00:00:00", "timelimit": [0.001, 0.001]}
    return json.dumps({"headers": headers, "body": body, "properties": {"body_encoding": "x"}}).encode()

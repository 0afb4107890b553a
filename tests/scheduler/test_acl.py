"""A user of Redis who may do what pixmill needs, and nothing else: deploy/redis/users.acl.example.

That it is enough for whole lines of processes, whatever the tests do to them, is checked by the fixture `line_broker`.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import kombu.pools
import pytest
from kombu import Connection, Consumer, Queue
from redis.exceptions import NoPermissionError

from cli.doctor.servers import ask_broker
from db.dispatch import WakeUp
from db.lanes import Slot
from db.tables.fleet import DeviceKind
from pixmill.errors import BrokerRefuses, PixmillError
from pixmill.settings import Settings, load_settings
from scheduler.broker import PokeListener, WakeUpSender, broker_facts, poke
from scheduler.connecting import connect, require_welcome
from scheduler.messages import make_celery
from scheduler.names import canary_queue, celery_queue
from tests.relay import Relay
from tests.rights import EXAMPLE, broker_rules
from tests.servers import Valkey, running_valkey

RIGHTS = [rule for rule in broker_rules() if rule[0] in "+~" and rule != "-@all"]
QUEUES = (celery_queue(DeviceKind.CPU), celery_queue(DeviceKind.CUDA, 4), canary_queue(7))
PASSWORD = "open-sesame"


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with running_valkey() as found:
        yield found


@pytest.fixture
def settings(server: Valkey, tmp_path: Path) -> Settings:
    return load_settings(flags={"home": tmp_path, "broker.url": server.url})


def listen(settings: Settings) -> None:
    """As the scheduler does, but a refusal is not waited out."""
    poke(settings)
    PokeListener(settings).wait(0.05)


def send(settings: Settings) -> None:
    sender = WakeUpSender(make_celery(settings), settings)
    sender.send(WakeUp(1, 1, Slot(DeviceKind.CPU)))
    sender.send(WakeUp(2, 1, Slot(DeviceKind.CUDA, 4)))
    sender.send_canary(7, 1)


def receive(settings: Settings) -> None:
    """As Celery's worker does: with a consumer of its queues."""
    heard: list[object] = []
    with make_celery(settings).connection_for_read() as connection:
        assert isinstance(connection, Connection)
        queues = [Queue(name, exchange=name, routing_key=name) for name in QUEUES]
        with Consumer(connection, queues, accept=["json"], no_ack=True, callbacks=[lambda body, _: heard.append(body)]):
            for _ in QUEUES:
                connection.drain_events(timeout=5)
    assert len(heard) == len(QUEUES)


ACTS: tuple[Callable[[Settings], object], ...] = (
    require_welcome, poke, listen, send, receive, broker_facts, ask_broker,
)  # fmt: skip


def try_all(settings: Settings, server: Valkey) -> list[str]:
    """Do everything that scheduler, workers, commands and dashboard do; what was not allowed."""
    kombu.pools.reset()  # their connections would keep rights that were looked up before
    with server.client() as client:
        client.flushall()
        client.acl_log_reset()
    for act in ACTS:
        try:
            act(settings)
        except (PixmillError, NoPermissionError, TimeoutError):
            break  # the first refusal will do
    return server.denied


def test_the_documented_rights_are_enough(settings: Settings, server: Valkey) -> None:
    server.restrict(broker_rules())
    assert try_all(settings, server) == []


@pytest.mark.parametrize("right", RIGHTS)
def test_every_documented_right_is_needed(settings: Settings, server: Valkey, right: str) -> None:
    server.restrict([rule for rule in broker_rules() if rule != right])
    (denied, *_more) = try_all(settings, server)
    assert denied.startswith("key " if right.startswith("~") else f"command {right[1:]}")


def test_what_pixmill_does_not_do_is_not_allowed(settings: Settings, server: Valkey) -> None:
    server.restrict(broker_rules())
    with connect(settings) as client:
        for act in (
            partial(client.get, "other"),
            partial(client.lpush, "other", 1),
            partial(client.brpop, ["celery"], 0.1),
            partial(client.publish, "pixmill.cpu", "word"),
            partial(client.delete, "pixmill.cpu"),
            client.flushall,
            client.client_list,
            client.acl_list,
            partial(client.config_get, "dir"),
            partial(client.eval, "return 1", 0),
        ):
            with pytest.raises(NoPermissionError):
                act()


def test_the_example_is_a_file_that_a_server_takes_and_asks_for_the_password(tmp_path: Path) -> None:
    users = tmp_path / "users.acl"
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    users.write_text(EXAMPLE.read_text().replace("SHA256_OF_THE_PASSWORD", digest))
    with running_valkey(tmp_path / "valkey", users=users) as server, Relay(server.socket) as relay:
        url = f"redis://pixmill:{PASSWORD}@127.0.0.1:{relay.port}/0"
        settings = load_settings(flags={"home": tmp_path, "broker.url": url})
        for act in ACTS:
            act(settings)
        for wrong in ("", "pixmill:other@", ":other@"):
            url = f"redis://{wrong}127.0.0.1:{relay.port}/0"
            with pytest.raises(BrokerRefuses, match="user and password"):
                poke(load_settings(flags={"home": tmp_path, "broker.url": url}))

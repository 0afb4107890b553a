import json
import statistics
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from db.dispatch import WakeUp
from db.lanes import Slot
from db.tables.fleet import DeviceKind
from pixmill.errors import BrokerUnreachable
from pixmill.settings import Settings, load_settings
from scheduler.broker import PokeListener, WakeUpSender, broker_facts, poke
from scheduler.messages import make_celery
from scheduler.names import POKE_LIST, RUN_TASK
from tests.conftest import Broker
from tests.servers import Valkey
from tests.waiting import wait_until


def using(home: Path, url: str) -> Settings:
    return load_settings(flags={"home": home, "broker.url": url})


@pytest.fixture
def connected(tmp_path: Path, valkey: Broker) -> Settings:
    return using(tmp_path, valkey.url)


@pytest.fixture
def away(tmp_path: Path) -> Settings:
    return using(tmp_path, f"redis+socket://{tmp_path}/none.sock")


def has_heard(heard: list[float], count: int) -> bool:
    return len(heard) == count


def sender(settings: Settings) -> WakeUpSender:
    return WakeUpSender(make_celery(settings), settings)


def test_a_wake_up_arrives_on_the_list_of_its_device_and_holds_two_numbers(connected: Settings, valkey: Broker) -> None:
    sender(connected).send(WakeUp(7, 3, Slot(DeviceKind.CUDA)))
    with valkey.client() as client:
        assert client.llen("pixmill.cpu") == 0
        (raw,) = client.lrange("pixmill.cuda", 0, -1)
    message = json.loads(raw)
    assert message["headers"]["task"] == RUN_TASK
    assert message["content-type"] == "application/json"
    assert message["headers"]["argsrepr"] == "(7, 3)"
    assert message["headers"]["eta"] is None


def test_sending_leaves_nothing_in_redis_that_grows(connected: Settings, valkey: Broker) -> None:
    own = sender(connected)
    own.send(WakeUp(1, 1, Slot(DeviceKind.CPU)))
    with valkey.client() as client:
        before = client.dbsize()
        for number in range(20):
            own.send(WakeUp(number, 1, Slot(DeviceKind.CPU)))
        assert client.dbsize() == before
        assert client.llen("pixmill.cpu") == 21


def test_many_pokes_are_one(connected: Settings, valkey: Broker) -> None:
    for _ in range(5):
        poke(connected)
    with valkey.client() as client:
        assert client.llen(POKE_LIST) == 1


def test_a_poke_is_heard_within_50_ms(connected: Settings) -> None:
    listener = PokeListener(connected)
    heard: list[float] = []

    def listen() -> None:
        for _ in range(20):
            assert listener.wait(10.0)
            heard.append(time.monotonic())

    thread = threading.Thread(target=listen)
    thread.start()
    delays = []
    for number in range(1, 21):
        sent = time.monotonic()
        poke(connected)
        wait_until(partial(has_heard, heard, number))
        delays.append(heard[-1] - sent)
    thread.join(timeout=10)
    assert statistics.median(delays) < 0.05


def test_a_poke_from_before_the_listening_is_not_lost(connected: Settings) -> None:
    poke(connected)
    listener = PokeListener(connected)
    assert listener.wait(10.0)
    assert not listener.wait(0.02)


@pytest.mark.parametrize("away_too", [False, True])
def test_without_a_poke_the_listener_waits_for_the_whole_time(
    connected: Settings, away: Settings, away_too: bool
) -> None:
    listener = PokeListener(away if away_too else connected)
    started = time.monotonic()
    assert not listener.wait(0.1)
    assert 0.09 < time.monotonic() - started < 2.0


def test_a_redis_that_is_away_is_told_at_once_with_what_to_do(away: Settings) -> None:
    for act in (poke, broker_facts):
        started = time.monotonic()
        with pytest.raises(BrokerUnreachable, match="Redis does not answer") as caught:
            act(away)
        assert time.monotonic() - started < 1.0
        assert caught.value.hint == "check that the server runs and that broker.url is right"
    with pytest.raises(BrokerUnreachable, match="Redis does not answer"):
        sender(away).send(WakeUp(1, 1, Slot(DeviceKind.CPU)))


def test_without_a_configured_redis_the_hint_is_to_start_ours(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnreachable) as caught:
        poke(load_settings(flags={"home": tmp_path}))
    assert caught.value.hint == "pixmill up"


def test_a_redis_that_came_back_is_used_again(own_valkey: Valkey, tmp_path: Path) -> None:
    settings = using(tmp_path, own_valkey.url)
    own, listener = sender(settings), PokeListener(settings)
    own.send(WakeUp(1, 1, Slot(DeviceKind.CPU)))
    poke(settings)
    assert listener.wait(5.0)
    own_valkey.kill()
    with pytest.raises(BrokerUnreachable):
        own.send(WakeUp(1, 1, Slot(DeviceKind.CPU)))
    assert not listener.wait(0.01)
    own_valkey.start()
    own.send(WakeUp(2, 1, Slot(DeviceKind.CPU)))
    poke(settings)
    assert listener.wait(5.0)
    with own_valkey.client() as client:
        assert client.llen("pixmill.cpu") == 1


def test_a_redis_that_is_full_is_told(own_valkey: Valkey, tmp_path: Path) -> None:
    settings = using(tmp_path, own_valkey.url)
    with own_valkey.client() as client:
        client.config_set("maxmemory", "1")
    with pytest.raises(BrokerUnreachable, match="maxmemory"):
        poke(settings)
    with pytest.raises(BrokerUnreachable, match="maxmemory"):
        sender(settings).send(WakeUp(1, 1, Slot(DeviceKind.CPU)))


def test_facts_name_the_server(connected: Settings) -> None:
    facts = broker_facts(connected)
    assert facts["server"] in ("valkey", "redis")
    assert facts["version"][0].isdigit()
    assert facts["maxmemory_policy"] == "noeviction"


def test_a_password_is_shown_in_no_message(tmp_path: Path) -> None:
    settings = using(tmp_path, "redis://:hunter2@127.0.0.1:9/0")
    for act in (partial(poke, settings), partial(sender(settings).send, WakeUp(1, 1, Slot(DeviceKind.CPU)))):
        with pytest.raises(BrokerUnreachable) as caught:
            act()
        assert "hunter2" not in f"{caught.value}{caught.value.hint}"

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.worker.desks import all_messages
from worker.channel import Channel
from worker.device.orders import Orders


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours)
        yield channel, theirs
        channel.close()


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    sent = [{"say": "progress", "phase": "zwölf\nZeilen", "done": number} for number in range(100)]
    for message in sent:
        channel.send(message)
    channel.shut()
    with closing(Channel(other)) as reader:
        assert list(all_messages(reader)) == sent


def test_a_torn_last_line_is_no_message(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.sendall(b'{"say":"one"}\n{"say":"tw')
    other.shutdown(socket.SHUT_WR)
    assert list(all_messages(channel)) == [{"say": "one"}]


def test_reading_ends_when_the_other_end_closes(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.close()
    assert list(all_messages(channel)) == []


def test_reading_ends_when_this_end_is_shut(ends: tuple[Channel, socket.socket]) -> None:
    channel, _other = ends
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.extend(all_messages(channel)))
    reader.start()
    channel.shut()
    reader.join(5.0)
    assert not reader.is_alive()
    assert found == []


def test_waiting_ends_with_its_time(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.sendall(b'{"say":"tor')
    assert channel.receive(0.01) is None
    assert not channel.has_message()
    assert not channel.is_at_end
    other.sendall(b'n"}\n')
    assert channel.has_message()
    assert channel.receive(0.0) == {"say": "torn"}


def test_a_call_ends_the_wait_and_takes_nothing_along(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    channel.wake()
    other.sendall(b'{"say":"one"}\n')
    assert channel.receive() is None
    assert channel.receive() == {"say": "one"}
    channel.wake()
    assert not channel.has_message()
    assert channel.receive() is None
    assert not channel.is_at_end


def test_calls_without_number_hold_nobody_up(ends: tuple[Channel, socket.socket]) -> None:
    channel, _other = ends
    for _ in range(10_000):
        channel.wake()
    assert channel.receive() is None
    channel.close()
    channel.wake()
    channel.close()


def test_one_that_is_listened_to_can_go_on_speaking(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    speaker = threading.Thread(target=lambda: other.sendall(b'{"say":"on"}\n' * 100_000))  # far more than a buffer
    speaker.start()
    while speaker.is_alive():
        channel.listen(0.01)
    other.close()
    assert len(list(all_messages(channel))) == 100_000


def test_listening_takes_its_time_when_nobody_is_there(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.close()
    began = time.monotonic()
    channel.listen(0.05)
    channel.listen(0.05)
    assert time.monotonic() - began >= 0.1
    assert channel.is_at_end


def test_sending_to_a_closed_end_raises(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.close()
    with pytest.raises(OSError, match="Broken pipe"):
        channel.send({"say": "hello"})


def test_a_number_that_json_does_not_know_is_refused(ends: tuple[Channel, socket.socket]) -> None:
    channel, _other = ends
    with pytest.raises(ValueError, match="not JSON compliant"):
        channel.send({"loss": float("nan")})


def test_lines_of_many_threads_do_not_mix(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    long_text = "x" * 5000  # more than one write of a small socket buffer
    channel._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def send(sender: int) -> None:
        for number in range(20):
            channel.send({"sender": sender, "number": number, "text": long_text})

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    with other.makefile("rb") as lines:
        found = [json.loads(lines.readline()) for _ in range(80)]
    for thread in threads:
        thread.join()
    for sender in range(4):
        assert [line["number"] for line in found if line["sender"] == sender] == list(range(20))


def test_any_thread_may_ask_for_the_order_to_stop_and_all_hear_it(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    orders = Orders(channel)
    asked = threading.Barrier(4, action=lambda: other.sendall(b'{"do":"stop"}\n'))
    told = []

    def ask() -> None:
        for number in range(2_000):
            orders.should_stop()
            if number == 1_000:
                asked.wait(30.0)
        told.append(orders.should_stop())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [True] * 4


@pytest.mark.parametrize("line", [b"{", b"7", b"\xff", b"[" * 9000, b"[]"])
def test_who_cannot_be_understood_is_not_listened_to_any_more(ends: tuple[Channel, socket.socket], line: bytes) -> None:
    channel, other = ends
    other.sendall(b'{"say":"first"}\n' + line + b'\n{"say":"last"}\n')
    assert channel.receive(10.0) == {"say": "first"}
    assert channel.receive(10.0) is None
    assert channel.is_at_end
    assert not channel.has_message()
    assert channel.receive(10.0) is None

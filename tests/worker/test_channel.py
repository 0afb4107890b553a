import json
import socket
import threading
from collections.abc import Iterator

import pytest

from worker.channel import Channel


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours), theirs


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    sent = [{"say": "progress", "phase": "zwölf\nZeilen", "done": number} for number in range(100)]
    for message in sent:
        channel.send(message)
    channel.shut()
    assert list(Channel(other).messages()) == sent


def test_a_torn_last_line_is_no_message(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.sendall(b'{"say":"one"}\n{"say":"tw')
    other.shutdown(socket.SHUT_WR)
    assert list(channel.messages()) == [{"say": "one"}]


def test_reading_ends_when_the_other_end_closes(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.close()
    assert list(channel.messages()) == []


def test_reading_ends_when_this_end_is_shut(ends: tuple[Channel, socket.socket]) -> None:
    channel, _other = ends
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.extend(channel.messages()))
    reader.start()
    channel.shut()
    reader.join(5.0)
    assert not reader.is_alive()
    assert found == []


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

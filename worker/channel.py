"""The line between parent and device process: JSON objects, one a line, over a socket pair."""

import json
import logging
import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any

log = logging.getLogger(__name__)

_PIECE = 65536  # bytes


class Channel:
    """One end; any thread may send, one thread reads.

    The reader waits for the socket itself: where tasks are short, every hand-over between threads would be felt.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = threading.Lock()
        self._heard = bytearray()
        self._bell, self._bell_rope = socket.socketpair()
        self._bell_rope.setblocking(False)
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        self._poll.register(self._bell, select.POLLIN)
        self.is_at_end = False  # the other end is closed, and all that it said was taken in

    @property
    def descriptor(self) -> int:
        """The line itself, for a process that goes on with it."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Write one message.  Raises OSError when the other end is gone."""
        line = json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with self._sending:
            self._socket.sendall(line)

    def receive(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next message, waited for without end or for so long; a torn last line is no message.

        None: none came in time, somebody has woken the reader, or the other end is closed.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while not self._has_line():
            if self.is_at_end or not self._hear(until):
                return None
        end = self._heard.index(b"\n") + 1
        line = bytes(self._heard[:end])
        del self._heard[:end]
        message = _message(line)
        if message is None:
            log.error("what the other end says cannot be read; it is not listened to any more")
            self._heard.clear()
            self._end()
            self.shut()
        return message

    def listen(self, seconds: float) -> None:
        """Take in what the other end says for so long, or until woken: one that cannot speak would stand still."""
        until = time.monotonic() + seconds
        while self._hear(until):
            pass

    def has_message(self) -> bool:
        """Whether `receive` has a message to give."""
        while not self._has_line() and not self.is_at_end and self._take_in():
            pass
        return self._has_line()

    def _has_line(self) -> bool:
        return b"\n" in self._heard

    def wake(self) -> None:
        """Let `receive` return at once, as if its time were over; from any thread, and safe in a signal handler."""
        with suppress(OSError):  # closed, or has been rung often enough
            self._bell_rope.send(b"!")

    def shut(self) -> None:
        """Tell the other end that nothing more will come, and stop reading."""
        with suppress(OSError):  # the other end was faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the descriptors, when nobody reads any more; sending raises OSError from now on."""
        with self._sending:
            for end in (self._socket, self._bell, self._bell_rope):
                end.close()

    def _hear(self, until: float | None) -> bool:
        """Take in what the other end has said, waiting for it until then; False when nothing came, or on a call."""
        milliseconds = None if until is None else max(0.0, until - time.monotonic()) * 1000
        ready = {descriptor for descriptor, _what in self._poll.poll(milliseconds)}
        if self._bell.fileno() in ready:
            self._bell.recv(_PIECE)
            return False
        return bool(ready) and self._take_in()

    def _take_in(self) -> bool:
        """Take in what has arrived; False when nothing has."""
        try:
            piece = self._socket.recv(_PIECE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            piece = b""
        if not piece:
            self._end()
        self._heard += piece
        return True

    def _end(self) -> None:
        if not self.is_at_end:
            self.is_at_end = True
            self._poll.unregister(self._socket)


def _message(line: bytes) -> dict[str, Any] | None:
    """What stands in a line; None for what is no object of JSON."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None

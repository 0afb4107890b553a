"""The line between parent and device process: JSON objects, one a line, over a socket pair."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any


class Channel:
    """One end; any thread may send, one thread reads."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Write one message.  Raises OSError when the other end is gone."""
        line = json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with self._sending:
            self._socket.sendall(line)

    def messages(self) -> Iterator[dict[str, Any]]:
        """Read messages until the other end closes; a torn last line is no message."""
        with self._socket.makefile("rb") as lines:
            try:
                for line in lines:
                    if line.endswith(b"\n"):
                        yield json.loads(line)
            except ConnectionError:
                return

    def shut(self) -> None:
        """Tell the other end that nothing more will come, and stop reading."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other end was faster

    def close(self) -> None:
        """Free the descriptor; sending raises OSError from now on."""
        with self._sending:
            self._socket.close()

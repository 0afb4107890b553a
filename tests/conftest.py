"""What all tests share: a clean environment, a real Valkey, and a fresh database on SQLite and on PostgreSQL.

A server that cannot start fails the test; nothing is skipped. `PIXMILL_TEST_REDIS_URL` and
`PIXMILL_TEST_POSTGRES_URL` (of a user who may create databases and roles) name servers to use instead of our own.
"""

import gc
import os
import random
import signal
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from hypothesis import settings as hypothesis_settings
from sqlalchemy import URL, make_url
from xdist.scheduler import LoadFileScheduling

from db.engine import Database, open_database
from db.tables.all import Table
from pixmill.settings import Settings, load_settings
from scheduler.names import redis_url
from storage.s3.bucket import Bucket
from tests.browsing import find_chromium
from tests.databases import (
    TEMPLATE,
    administrate,
    as_application,
    cloned_postgresql,
    copied_sqlite,
    drop_postgresql,
    make_template,
    migrate,
)
from tests.rights import broker_rules
from tests.s3 import S3Server, running_s3
from tests.servers import Postgres, Valkey, running_valkey

get_temp_dir()  # made before any test names another place: sockets lie there, whose paths must be short

hypothesis_settings.register_profile("suite", deadline=None, derandomize=bool(os.environ.get("CI")), max_examples=50)
hypothesis_settings.load_profile("suite")

# A shell lets what it runs in the background ignore SIGINT, and nohup lets it ignore SIGHUP. Programs that are started
# here must hear both; a handler of ours does not outlast their exec.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_details: None)


# Tests of whole lines of processes take longest: where several run at a time they begin first, and those of a group
# share the lines that stand for a whole session.
LINES = {
    "rough": tuple(f"tests/worker/test_{name}.py" for name in ("operators", "recovery", "handfuls")),
    "kinds": ("tests/worker/test_kinds", "tests/worker/test_failing_jobs.py", "tests/worker/test_registered_data.py"),
    "promises": ("tests/acceptance/",),
}
LONG: tuple[str | tuple[str, ...], ...] = (*LINES.values(), "tests/worker/", "tests/local/")


class ByRoom(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Where several tests run at a time: those of a file share what they make, and those of a group their lines."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = nodeid.split("::", 1)[0]
        return next((group for group, files in LINES.items() if file.startswith(files)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByRoom:
    """Keep the order of the tests."""
    config.option.loadscopereorder = False
    return ByRoom(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long unless it is asked for; of the rest, the longest first."""
    if not os.environ.get("PIXMILL_TEST_SLOW"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    items.sort(key=lambda item: [not item.nodeid.startswith(first) for first in LONG])


def pytest_collection_finish() -> None:
    """What was imported and collected stays: a collection of garbage need not look at its million objects again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser, for tests that look at pages in it."""
    return find_chromium()


@pytest.fixture(autouse=True)
def _same_random_numbers_every_time(request: pytest.FixtureRequest) -> None:
    """A test that draws numbers draws its own, the same in every run; what draws none imports no torch for it."""
    seed = zlib.crc32(request.node.nodeid.encode())
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        if name.startswith("PIXMILL_") and not name.startswith("PIXMILL_TEST_"):
            monkeypatch.delenv(name)
    empty = tmp_path_factory.getbasetemp() / "xdg"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(empty / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(empty / "data"))


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets (pytest's own are long)."""
    with tempfile.TemporaryDirectory(prefix="pixmill-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@dataclass(frozen=True)
class Broker:
    """The Valkey that all tests share."""

    url: str  # as Celery spells it

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(redis_url(self.url))


@pytest.fixture(scope="session")
def valkey_server(short_folder: Path) -> Iterator[Broker]:
    """A Redis-compatible server for the whole session."""
    outside = os.environ.get("PIXMILL_TEST_REDIS_URL")
    if outside:
        yield Broker(outside)
        return
    with running_valkey(short_folder / "valkey") as server:
        yield Broker(server.url)


@pytest.fixture
def valkey(valkey_server: Broker) -> Broker:
    """The session's server, emptied for this test."""
    with valkey_server.client() as client:
        client.flushdb()
    return valkey_server


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server that this test alone may kill and start again."""
    with running_valkey() as server:
        yield server


@pytest.fixture(scope="session")
def line_broker(short_folder: Path) -> Iterator[Valkey]:
    """A server for lines of processes, each with a part of its own, that nobody empties or kills.

    It allows no more than what is documented, and in the end nobody may have asked for more.
    """
    with running_valkey(short_folder / "line") as server:
        server.restrict([*broker_rules(), "+select"])  # parts are databases
        yield server
        assert server.denied == []


@pytest.fixture(scope="session")
def s3_server(short_folder: Path) -> Iterator[S3Server]:
    """An S3 server for the whole session, that nobody kills."""
    with running_s3(short_folder / "s3.log") as server:
        yield server


@pytest.fixture
def own_s3_server(tmp_path: Path) -> Iterator[S3Server]:
    """A server that this test alone may kill and start again."""
    with running_s3(tmp_path / "s3.log") as server:
        yield server


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Such as the server takes, in a file of their own; none of this machine's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    credentials = tmp_path / "aws-credentials"
    credentials.write_text("[default]\naws_access_key_id = someone\naws_secret_access_key = something\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # there is no such server to ask


@pytest.fixture
def bucket(s3_server: S3Server, s3_credentials: None) -> Bucket:
    """An empty bucket."""
    return s3_server.new_bucket()


@pytest.fixture(scope="session")
def postgres_server_url(short_folder: Path) -> Iterator[URL]:
    """A PostgreSQL for the whole session, holding a migrated database to be cloned."""
    outside = os.environ.get("PIXMILL_TEST_POSTGRES_URL")
    if outside:
        url = make_url(outside).set(drivername="postgresql+psycopg")
        make_template(url, short_folder)
        yield url
        return
    folder = short_folder / "postgres"
    folder.mkdir()
    server = Postgres(folder)
    server.create()
    server.start()
    url = make_url(server.url("postgres"))
    make_template(url, short_folder)
    yield url
    server.stop()


@pytest.fixture
def empty_postgres_url(postgres_server_url: URL) -> Iterator[str]:
    """A PostgreSQL database of this test's own without any table."""
    yield from _cloned(postgres_server_url, "template0")


@pytest.fixture(scope="session")
def cloned_postgres_url(postgres_server_url: URL) -> Iterator[str]:
    """A migrated database; cloning takes 0.1 s, so the tests of a session share it, one after the other."""
    yield from _cloned(postgres_server_url, TEMPLATE)


def _cloned(server: URL, template: str) -> Iterator[str]:
    url = cloned_postgresql(server, template)
    yield url.render_as_string(hide_password=False)
    drop_postgresql(url, server)


@pytest.fixture
def postgres_url(cloned_postgres_url: str) -> str:
    """A migrated PostgreSQL database without a row, whose ids begin at 1, for the application role."""
    url = make_url(cloned_postgres_url)
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    administrate(
        url,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}",
        *(f"DELETE FROM {table.name}" for table in reversed(Table.metadata.sorted_tables)),
        "SELECT setval(seqrelid::regclass, 1, false) FROM pg_sequence",
    )
    return as_application(cloned_postgres_url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(URL.create("sqlite", database=str(file)), file.parent)
    return file


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test's own."""
    return copied_sqlite(sqlite_template, tmp_path)


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """A SQLite database of this test's own that does not exist yet."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of this test's own, on each kind of server."""
    url: str = request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param])
    return url


@pytest.fixture
def settings(tmp_path: Path, database_url: str, valkey: Broker) -> Settings:
    """Settings of a home in a temporary folder, with this test's database and the session's Valkey."""
    flags = {"home": tmp_path / "home", "database.url": database_url, "broker.url": valkey.url}
    return load_settings(flags=flags)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """This test's migrated database, opened."""
    opened = open_database(settings)
    yield opened
    opened.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table, opened."""
    name = {"sqlite": "empty_sqlite_url", "postgresql": "empty_postgres_url"}[request.param]
    opened = open_database(load_settings(flags={"home": tmp_path, "database.url": request.getfixturevalue(name)}))
    yield opened
    opened.dispose()

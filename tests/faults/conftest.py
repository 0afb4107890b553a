"""The lines of the fault matrix: one on each database that stands for the session, and ones of a test's own."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, make_url

from tests.databases import cloned_postgresql, copied_sqlite, migrate
from tests.faults.cutter import CommitCutter
from tests.faults.plant import CrashablePostgres
from tests.faults.rough import SLOW, RoughLine
from tests.servers import Valkey


@pytest.fixture(scope="session")
def standing_rough_sqlite(
    line_broker: Valkey, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RoughLine]:
    """One line for many tests, on SQLite."""
    home = tmp_path_factory.mktemp("rough")
    line = RoughLine(home, copied_sqlite(sqlite_template, home), line_broker.own_part())
    yield line
    line.stop()


@pytest.fixture(scope="session")
def standing_cutter(postgres_server_url: URL, short_folder: Path) -> Iterator[CommitCutter]:
    """The relay through which the worker of the standing line talks to its PostgreSQL database."""
    folder = short_folder / "cutter"
    folder.mkdir()
    cutter = CommitCutter(folder, cloned_postgresql(postgres_server_url))
    cutter.start()
    yield cutter
    cutter.stop()


@pytest.fixture(scope="session")
def standing_rough_postgresql(
    line_broker: Valkey, standing_cutter: CommitCutter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RoughLine]:
    """One line for many tests, on PostgreSQL."""
    line = RoughLine(tmp_path_factory.mktemp("rough"), standing_cutter.server_url, line_broker.own_part())
    for name in line.workers:
        line.variables[name] = {**line.variables[name], "PIXMILL_DATABASE_URL": standing_cutter.url}
    yield line
    line.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def rough_line(request: pytest.FixtureRequest) -> Iterator[RoughLine]:
    """A standing line on each kind of database, all of its processes up; its promises are checked afterwards."""
    yield from disturbed(request.getfixturevalue(f"standing_rough_{request.param}"))


@pytest.fixture(params=["sqlite", "postgresql"] if SLOW else ["sqlite"])
def either_line(request: pytest.FixtureRequest) -> Iterator[RoughLine]:
    """A standing line on SQLite, and in slow runs on PostgreSQL as well: for what is much the same on both."""
    yield from disturbed(request.getfixturevalue(f"standing_rough_{request.param}"))


@pytest.fixture
def rough_sqlite(standing_rough_sqlite: RoughLine) -> Iterator[RoughLine]:
    """The standing line on SQLite, for what has little to do with the database."""
    yield from disturbed(standing_rough_sqlite)


@pytest.fixture
def rough_postgresql(standing_rough_postgresql: RoughLine) -> Iterator[RoughLine]:
    """The standing line on PostgreSQL, for faults that only a server has."""
    yield from disturbed(standing_rough_postgresql)


def disturbed(line: RoughLine) -> Iterator[RoughLine]:
    """A standing line for one test: up before, at rest and unbroken afterwards."""
    line.start()
    yield line
    line.stop_second_scheduler()
    violations = line.violations()
    line.clear()
    assert violations == []


@pytest.fixture
def own_rough(line_broker: Valkey, sqlite_template: Path, tmp_path: Path) -> Iterator[Callable[..., RoughLine]]:
    """Makes a line of this test's own, with settings of its own; SQLite and a quiet broker unless given."""
    lines: list[RoughLine] = []

    def make(
        database_url: str | None = None,
        broker_url: str | None = None,
        **knobs: Any,
    ) -> RoughLine:
        home = tmp_path / f"rough-{len(lines)}"
        home.mkdir()
        url = database_url or copied_sqlite(sqlite_template, home)
        line = RoughLine(home, url, broker_url or line_broker.own_part(), **knobs)
        lines.append(line)
        line.start()
        return line

    yield make
    for line in lines:
        line.stop()
    violations = [violation for line in lines for violation in line.violations()]
    for line in lines:
        line.database.dispose()
    assert violations == []


@pytest.fixture(scope="module")
def doomed_postgres() -> Iterator[CrashablePostgres]:
    """A server that the tests of a module may stop and start, its first database migrated."""
    with tempfile.TemporaryDirectory(prefix="pixmill-", dir="/tmp") as folder:
        server = CrashablePostgres(Path(folder))
        Path(folder).chmod(0o755)
        server.create()
        server.start()
        migrate(make_url(server.url("postgres")), Path(folder))
        yield server
        server.stop()

"""A copy of the whole database while others write, and what comes back from it."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from db.copying import back_up
from db.engine import Database, open_database
from db.schema import SchemaStatus, schema_state, upgrade_schema
from db.tables.jobs import Job, Task
from pixmill.errors import Conflict, Unavailable
from pixmill.settings import Settings, load_settings
from tests import rows
from tests.databases import APP_ROLE
from tests.servers import postgres_binary


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client programs that came with the server."""
    folder = postgres_binary("pg_dump").parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def owned(request: pytest.FixtureRequest, settings: Settings, database: Database) -> Iterator[Database]:
    """The same database, in its owner's name."""
    if database.is_sqlite:
        yield database
        return
    url = request.getfixturevalue("cloned_postgres_url")
    opened = open_database(load_settings(flags={"home": settings.home, "database.url": url}))
    yield opened
    opened.dispose()


def put_back(database: Database, copy: Path) -> None:
    """Let the database be what the copy holds, as docs/operations.md says."""
    database.dispose()
    if database.is_sqlite:
        file = Path(str(database.engine.url.database))
        for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
            (file.parent / name).unlink(missing_ok=True)
        shutil.copyfile(copy, file)
        return
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    words = ["pg_restore", "--clean", "--if-exists", "--no-owner", "--exit-on-error", f"--dbname={url}", str(copy)]
    subprocess.run(words, check=True, capture_output=True)


def test_a_copy_is_of_one_moment_and_comes_back(database: Database, owned: Database, tmp_path: Path) -> None:
    for _ in range(50):
        rows.add(database)
    stop = threading.Event()

    def write_on() -> None:
        while not stop.is_set():
            rows.add(database)

    writer = threading.Thread(target=write_on)
    writer.start()
    copy = tmp_path / "copy"
    try:
        back_up(owned, copy)
    finally:
        stop.set()
        writer.join()
    last = rows.add(database)
    database.dispose()
    put_back(owned, copy)
    if not owned.is_sqlite:
        upgrade_schema(owned, app_role=APP_ROLE)  # which gives it its rights again
    assert schema_state(database).status is SchemaStatus.OK
    with database.read() as session:
        jobs, tasks = session.scalar(select(func.max(Job.id))), session.scalar(select(func.max(Task.job_id)))
    assert jobs is not None
    assert 50 <= jobs < last
    assert tasks == jobs  # of one transaction
    assert rows.add(database) > jobs
    with pytest.raises(Conflict, match="there already"):
        back_up(owned, copy)


def test_postgresql_without_its_programs_is_told(
    empty_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    database = open_database(load_settings(flags={"home": tmp_path, "database.url": empty_postgres_url}))
    with pytest.raises(Unavailable, match="pg_dump is not on the PATH"):
        back_up(database, tmp_path / "copy")
    tool = tmp_path / "pg_dump"
    tool.write_text("#!/bin/sh\necho 'pg_dump: error: server version mismatch' >&2\nexit 1\n")
    tool.chmod(0o755)
    with pytest.raises(Unavailable, match="server version mismatch"):
        back_up(database, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    database.dispose()

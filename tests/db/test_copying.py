"""A copy of the whole database while others write, and what comes back from it."""

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, make_url, select

from db.copying import back_up
from db.engine import Database, open_database
from db.schema import SchemaStatus, schema_state
from db.tables import Job, Task
from pixmill.errors import Conflict, Unavailable
from pixmill.settings import Settings, load_settings
from tests import rows
from tests.servers import postgres_binary


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client programs that came with the server."""
    folder = postgres_binary("pg_dump").parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def put_back(settings: Settings, database: Database, copy: Path) -> None:
    """Let the database be what the copy holds, as docs/operations.md says."""
    database.dispose()
    if database.is_sqlite:
        file = Path(str(database.engine.url.database))
        for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
            (file.parent / name).unlink(missing_ok=True)
        shutil.copyfile(copy, file)
        return
    url = make_url(settings.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    words = ["pg_restore", "--clean", "--if-exists", "--no-owner", "--exit-on-error", f"--dbname={url}", str(copy)]
    subprocess.run(words, check=True, capture_output=True)


def test_a_copy_is_of_one_moment_and_comes_back(settings: Settings, database: Database, tmp_path: Path) -> None:
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
        back_up(database, copy)
    finally:
        stop.set()
        writer.join()
    last = rows.add(database)
    put_back(settings, database, copy)
    assert schema_state(database).status is SchemaStatus.OK
    with database.read() as session:
        jobs, tasks = session.scalar(select(func.max(Job.id))), session.scalar(select(func.max(Task.job_id)))
    assert jobs is not None
    assert 50 <= jobs < last
    assert tasks == jobs  # of one transaction
    assert rows.add(database) > jobs
    with pytest.raises(Conflict, match="there already"):
        back_up(database, copy)


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

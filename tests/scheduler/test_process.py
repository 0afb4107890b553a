"""The scheduler as a process of its own, with real signals and real outages."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db.engine import Database, open_database
from db.schedules import get_schedule, run_lines
from db.schema import upgrade_schema
from db.tables.fleet import Scheduler
from db.workers import database_time, latest_scheduler
from pixmill.errors import DatabaseUnreachable
from pixmill.schedules import Overlap, RunOutcome
from pixmill.settings import Settings, load_settings
from pixmill.states import State
from scheduler.broker import poke
from tests import rows
from tests.scheduler.nights import NAME, Nights
from tests.servers import Postgres, Valkey
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@contextmanager
def scheduling(settings: Settings, log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "PIXMILL_HOME": str(settings.home),
        "PIXMILL_DATABASE_URL": settings.database_url,
        "PIXMILL_BROKER_URL": settings.broker_url,
        "PIXMILL_SCHEDULER_REDISPATCH_SECONDS": "0.2",
        "PIXMILL_SCHEDULER_TICK_SECONDS": str(settings.scheduler.tick_seconds),
        **more,
    }
    command = [sys.executable, "-m", "cli", "scheduler", "run"]
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def shown(database: Database) -> Scheduler | None:
    with database.read() as session:
        return latest_scheduler(session)


def wait_started(database: Database, process: subprocess.Popen[bytes], log: Path) -> None:
    def started() -> bool:
        assert process.poll() is None, log.read_text()
        return shown(database) is not None

    wait_until(started, timeout=30)


def is_queued(database: Database, job_id: int) -> bool:
    return rows.states(database, job_id) == [State.QUEUED]


def sent(valkey: Valkey) -> int:
    with valkey.client() as client:
        return int(client.llen("pixmill.cpu"))


def using(database_url: str, valkey: Valkey, home: Path, tick_seconds: float) -> Settings:
    flags = {"home": home, "database.url": database_url, "broker.url": valkey.url}
    return load_settings(flags=flags | {"scheduler.tick_seconds": tick_seconds})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_answers_a_poke_and_stops_when_told(
    sqlite_url: str, own_valkey: Valkey, tmp_path: Path, number: signal.Signals
) -> None:
    settings = using(sqlite_url, own_valkey, tmp_path, tick_seconds=2.0)
    database, log = open_database(settings), tmp_path / "log"
    with scheduling(settings, log) as process:
        wait_started(database, process, log)
        rows.add_worker(database)
        job_id = rows.add(database)
        poke(settings)
        wait_until(lambda: is_queued(database, job_id))
        process.send_signal(number)
        assert process.wait(timeout=10) == 0, log.read_text()
    row = shown(database)
    assert row is not None
    assert row.stopped_at is not None
    database.dispose()


def test_it_outlives_a_redis_that_dies_and_forgets(sqlite_url: str, own_valkey: Valkey, tmp_path: Path) -> None:
    settings = using(sqlite_url, own_valkey, tmp_path, tick_seconds=0.1)
    database, log = open_database(settings), tmp_path / "log"
    with scheduling(settings, log) as process:
        wait_started(database, process, log)
        own_valkey.kill()
        rows.add_worker(database)
        rows.add(database)
        wait_until(lambda: getattr(shown(database), "broker_error", None))
        own_valkey.start()
        wait_until(lambda: sent(own_valkey))
        wait_until(lambda: getattr(shown(database), "broker_error", "") is None)
        with own_valkey.client() as client:
            client.flushall()
        wait_until(lambda: sent(own_valkey))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0, log.read_text()
    database.dispose()


@pytest.fixture
def own_postgres(short_folder: Path) -> Iterator[Postgres]:
    folder = short_folder / "own-postgres"
    folder.mkdir()
    server = Postgres(folder)
    server.create()
    server.start()
    yield server
    server.stop()


def test_it_outlives_a_database_that_dies(own_postgres: Postgres, own_valkey: Valkey, tmp_path: Path) -> None:
    settings = using(own_postgres.url("postgres"), own_valkey, tmp_path, tick_seconds=0.1)
    database, log = open_database(settings), tmp_path / "log"
    upgrade_schema(database)
    with scheduling(settings, log) as process:
        wait_started(database, process, log)
        own_postgres.stop()
        with pytest.raises(DatabaseUnreachable):
            shown(database)
        wait_until(lambda: "the database is away" in log.read_text())
        own_postgres.start()
        rows.add_worker(database)
        job_id = rows.add(database)
        wait_until(lambda: is_queued(database, job_id))
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0, log.read_text()
    database.dispose()


def test_on_an_empty_database_it_refuses_to_start(own_valkey: Valkey, tmp_path: Path) -> None:
    settings = using(f"sqlite:///{tmp_path}/none.db", own_valkey, tmp_path, tick_seconds=1.0)
    log = tmp_path / "log"
    with scheduling(settings, log) as process:
        assert process.wait(timeout=30) == 78
    assert "is empty" in log.read_text()
    assert "pixmill db upgrade" in log.read_text()


def due_soon(database: Database, seconds: float) -> None:
    """The next run is due so many seconds from now, by the database's clock."""
    with database.write() as session:
        schedule = get_schedule(session, NAME)
        schedule.next_run_at = database_time(session) + timedelta(seconds=seconds)


def outcomes(database: Database) -> list[tuple[RunOutcome, int | None]]:
    with database.read() as session:
        return [(line.run.outcome, line.run.job_id) for line in run_lines(session, 1, limit=10)]


def test_it_wakes_for_a_schedule_and_makes_up_for_what_it_missed(
    sqlite_url: str, own_valkey: Valkey, tmp_path: Path
) -> None:
    settings = using(sqlite_url, own_valkey, tmp_path, tick_seconds=60.0)
    database, log = open_database(settings), tmp_path / "log"
    Nights(database, f"{datetime.now(UTC):%Y-%m-%dT%H:%M}+00:00").add("0 0 1 1 *", overlap=Overlap.QUEUE)
    rows.add_worker(database)
    with scheduling(settings, log) as process:
        wait_started(database, process, log)
        due_soon(database, 1.0)
        poke(settings)
        wait_until(lambda: outcomes(database) == [(RunOutcome.SUBMITTED, 1)], timeout=30)
        wait_until(lambda: is_queued(database, 1))
    due_soon(database, -3600.0)
    with scheduling(settings, log) as process:
        submitted = [(RunOutcome.SUBMITTED, 2), (RunOutcome.SUBMITTED, 1)]
        wait_until(lambda: outcomes(database) == submitted, timeout=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0, log.read_text()
    database.dispose()

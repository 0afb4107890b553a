"""Rows 4, 15 to 17, 19, 24 and 31 of the fault matrix: a database that dies, cuts, locks, or is of another version."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import Database, open_database
from db.leases import Lease, heartbeat
from db.moves import lock_job
from db.schema import HEAD, VERSION_TABLE
from pixmill.errors import DatabaseUnreachable
from pixmill.settings import Settings, load_settings
from pixmill.specs import JobOptions, PingSpec
from pixmill.states import State
from scheduler.submit import submit
from tests import rows
from tests.faults.conftest import disturbed
from tests.faults.rough import LEASE_SECONDS, NO_WORK, SLOW, RoughLine, seconds_until
from tests.rows import act
from tests.servers import Postgres, Valkey
from tests.worker.line import REPOSITORY


@pytest.fixture(scope="module")
def standing_doomed_line(
    line_broker: Valkey, doomed_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RoughLine]:
    """A line over a PostgreSQL that may be stopped."""
    url = doomed_postgres.url("postgres")
    line = RoughLine(tmp_path_factory.mktemp("doomed"), url, line_broker.own_part(), workers=1)
    yield line
    line.stop()


@pytest.fixture
def doomed_line(standing_doomed_line: RoughLine) -> Iterator[RoughLine]:
    """That line, up; its promises are checked afterwards."""
    yield from disturbed(standing_doomed_line)


def test_row_15_a_postgresql_that_is_restarted_at_once_costs_nobody_a_lease(
    doomed_line: RoughLine, doomed_postgres: Postgres
) -> None:
    line, job = doomed_line, doomed_line.submit(doomed_line.training(images=30_000))
    line.wait_for_training(job)
    waiting = line.submit_all([PingSpec()] * 5)
    doomed_postgres.stop()  # SIGQUIT: what `pg_ctl -m immediate` does
    doomed_postgres.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    line.wait_for_all(waiting)
    assert (line.task(job).lease_epoch, line.task(job).lost_leases) == (1, 0)
    assert {line.job(one).state for one in waiting} == {State.SUCCEEDED}


def test_row_16_through_three_leases_without_postgresql_work_goes_on_and_nothing_is_done_twice(
    doomed_line: RoughLine, doomed_postgres: Postgres
) -> None:
    line, job = doomed_line, doomed_line.submit(doomed_line.training(images=60_000))
    line.wait_for_training(job)
    waiting = line.submit_all([PingSpec()] * 5)
    log = line.path(line.attempts(job)[0].folder) / "log.txt"
    before = image_count(log)
    doomed_postgres.stop()
    time.sleep(3 * LEASE_SECONDS)
    assert image_count(log) > before
    doomed_postgres.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    line.wait_for_all(waiting)
    assert (line.task(job).lease_epoch, line.task(job).lost_leases) == (1, 0)
    assert [line.task(one).lease_epoch for one in waiting] == [1] * 5


def image_count(log: Path) -> int:
    """How far the device process says it has come, whatever the database knows."""
    return int(re.findall(r"checkpoint at (\d+) images", log.read_text(encoding="utf-8"))[-1])


def test_row_17_connections_that_are_cut_again_and_again_cost_no_job(
    doomed_line: RoughLine, doomed_postgres: Postgres
) -> None:
    line, rounds = doomed_line, 60 if SLOW else 8
    jobs = [line.submit(line.training(images=40_000)), *line.submit_all([PingSpec()] * 100)]
    others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    for _ in range(rounds):
        doomed_postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        time.sleep(1.0 if SLOW else 0.4)
    line.wait_for_all(jobs)
    assert {line.job(job).state for job in jobs} == {State.SUCCEEDED}


def test_row_04_who_freezes_in_a_transaction_blocks_the_others_on_postgresql_for_a_while_at_most(
    postgres_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    flags = {"home": tmp_path, "database.url": postgres_url, "database.busy_timeout_seconds": 0.5}
    frozen = open_database(load_settings(flags=flags))
    request.addfinalizer(frozen.dispose)
    other = open_database(load_settings(flags=flags))
    request.addfinalizer(other.dispose)
    lease = rows.running(other, **NO_WORK)
    thawed = threading.Event()

    def freeze(session: Session) -> None:
        lock_job(session, lease.job_id)
        heartbeat(session, lease, None, 0)
        thawed.wait(10.0)  # SIGSTOP, or a host that lost its power and says no goodbye

    results = rows.run_all(partial(frozen.transact, freeze), partial(free_after, other, lease, thawed))
    assert isinstance(results[0], DatabaseUnreachable)
    assert results[1] < 5.0


def free_after(database: Database, lease: Lease, thawed: threading.Event) -> float:
    """Seconds until the task's row can be written; then the frozen one awakes."""

    def can_write() -> bool:
        try:
            act(database, heartbeat, lease, None, 0)
        except DatabaseUnreachable:
            return False
        return True

    time.sleep(0.2)  # the other one freezes first
    try:
        return seconds_until(can_write, timeout=20.0)
    finally:
        thawed.set()


def test_row_19_a_locked_sqlite_is_waited_for_and_then_named_and_nobody_is_taken_for_dead(
    rough_sqlite: RoughLine,
) -> None:
    line, job = rough_sqlite, rough_sqlite.submit(rough_sqlite.training(images=40_000))
    line.wait_for_training(job)
    log = line.path(line.attempts(job)[0].folder) / "log.txt"
    late: list[int] = []
    seconds = 60.0 if SLOW else 2.5 * LEASE_SECONDS
    patient = threading.Thread(target=lambda: late.append(submit_waiting(line, seconds + 30.0)))
    with locked(line.database):
        before = image_count(log)
        patient.start()
        with pytest.raises(DatabaseUnreachable, match="locked") as caught:
            submit_waiting(line, 0.2)
        assert "held by another process" in str(caught.value.hint)
        time.sleep(seconds)
        assert image_count(log) > before
    patient.join()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    line.wait_for_all(late)
    assert (line.task(job).lease_epoch, line.task(job).lost_leases) == (1, 0)


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """While this lasts, nobody else can write."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        yield
        connection.exec_driver_sql("ROLLBACK")


def submit_waiting(line: RoughLine, seconds: float) -> int:
    """Submit as somebody who waits for a lock no longer than this."""
    database = line.database_waiting(seconds)
    try:
        return submit(database, line.settings, PingSpec(), JobOptions(), user="tester").job_id
    finally:
        database.dispose()


def test_row_24_two_schedulers_queue_and_start_every_task_once(rough_line: RoughLine) -> None:
    line = rough_line
    line.start_second_scheduler()
    jobs = line.submit_all([PingSpec()] * 60)
    line.wait_for_all(jobs)
    tasks = [line.task(job) for job in jobs]
    assert {task.state for task in tasks} == {State.SUCCEEDED}
    assert {task.lease_epoch for task in tasks} == {1}
    assert {task.dispatch_seq for task in tasks} <= {0, 1}


def test_row_31_a_newer_schema_is_refused_at_the_start_and_does_not_stop_what_runs(either_line: RoughLine) -> None:
    line = either_line
    running = line.submit(line.training(images=24_000))
    line.wait_for_training(running)
    set_revision(line.database, "9999")
    try:
        for words in (["worker", "start", "--device", "cpu:7"], ["scheduler", "run"]):
            done = pixmill(line.settings, *words)
            assert done.returncode == 78, done.stderr
            assert "upgrade pixmill on this host" in done.stderr
        line.run(PingSpec())
        assert line.wait(running) is State.SUCCEEDED, line.story(running)
    finally:
        set_revision(line.database, HEAD)


def set_revision(database: Database, revision: str) -> None:
    with database.write() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision})


def pixmill(settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command of this home to its end."""
    variables = {
        "PIXMILL_HOME": str(settings.home),
        "PIXMILL_DATABASE_URL": settings.database_url,
        "PIXMILL_BROKER_URL": settings.broker_url,
    }
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=REPOSITORY,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=30.0,
    )

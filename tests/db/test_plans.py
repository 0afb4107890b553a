"""No statement of the hot path reads a whole table that grows with the queue: SQLite says how it goes about each."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, event, text

from db.engine import Database, open_database
from db.handfuls import Success, claim_alike, succeed_all
from db.lanes import _line_statement
from db.leases import finish, give_back, heartbeat, lose, publish_checkpoint, publish_shard
from db.statements import _prepared
from db.tables.jobs import Outcome, Role, Task
from db.workers import beat_worker
from pixmill.settings import load_settings
from pixmill.specs import JobOptions, PingSpec
from pixmill.states import FailureReason
from scheduler.broker import WakeUpSender
from scheduler.messages import make_celery
from scheduler.submit import submit
from scheduler.tick import Ticker
from tests import rows
from tests.conftest import Broker
from tests.databases import TEMPLATE, cloned_postgresql, drop_postgresql
from tests.rows import act

GROWING = "jobs|tasks|attempts|events|shards|checkpoints|job_dependencies|task_dependencies"


@pytest.fixture
def database(tmp_path: Path, sqlite_url: str) -> Iterator[Database]:
    """A database on SQLite alone: PostgreSQL chooses by what the tables hold."""
    opened = open_database(load_settings(flags={"home": tmp_path, "database.url": sqlite_url}))
    yield opened
    opened.dispose()


@contextmanager
def overheard(database: Database) -> Iterator[list[str]]:
    """All statements that connections opened from now on send, their values filled in."""
    heard: list[str] = []

    def listen(connection: Any, _record: object) -> None:
        connection.set_trace_callback(heard.append)

    database.engine.dispose()
    event.listen(database.engine, "connect", listen)
    yield heard
    event.remove(database.engine, "connect", listen)
    database.engine.dispose()


def scans(database: Database, statements: list[str]) -> dict[str, str]:
    """The statements that read all of a table that grows, each with the step that does it."""
    found: dict[str, str] = {}
    with database.read() as session:
        connection = session.connection().connection.driver_connection
        assert connection is not None
        for statement in dict.fromkeys(statements):
            if statement.split(maxsplit=1)[0] in ("SELECT", "UPDATE", "DELETE"):
                steps = [str(row[-1]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
                found.update((statement, step) for step in steps if re.match(rf"SCAN ({GROWING})\b", step))
    return found


def test_the_way_of_a_task_reads_no_table_as_a_whole(database: Database, tmp_path: Path, valkey: Broker) -> None:
    settings = load_settings(flags={"home": tmp_path, "database.url": "sqlite://", "broker.url": valkey.url})
    ticker = Ticker(database, WakeUpSender(make_celery(settings), settings), settings.scheduler)
    with overheard(database) as heard:
        for _number in range(8):
            submit(database, settings, PingSpec(), JobOptions(), user="ann")
        rows.add(database, tasks=rows.CHAIN)
        worker = rows.add_worker(database)
        act(database, beat_worker, worker.id)
        assert ticker.tick() == 1
        handful = act(database, claim_alike, worker, Role.PING, 3, rows.folder)
        assert len(handful) == 3
        act(database, succeed_all, [Success(lease=lease, done=1, result={}) for lease in handful])
        first, second, third = (rows.claimed(database, worker) for _ in range(3))
        act(database, heartbeat, first, None, 0)
        act(database, publish_checkpoint, first, rows.checkpoint(first, 64))
        act(database, publish_shard, second, rows.shard(second, 0))
        act(database, finish, first, Outcome.SUCCEEDED, publish=rows.nothing)
        act(database, finish, second, Outcome.FAILED, reason=FailureReason.USER_ERROR)
        act(database, give_back, third)
        act(database, lose, rows.claimed(database, worker), "gone", max_lost_leases=3)
        ticker.tick()
    assert len(heard) > 100
    assert scans(database, heard) == {}


def test_a_scan_would_be_seen(database: Database) -> None:
    assert scans(database, ["SELECT id FROM jobs WHERE name = 'x'", "SELECT id FROM jobs WHERE id = 1"]) == {
        "SELECT id FROM jobs WHERE name = 'x'": "SCAN jobs"
    }


def test_postgresql_walks_the_line_and_does_not_sort_it(tmp_path: Path, postgres_server_url: URL) -> None:
    url = cloned_postgresql(postgres_server_url, TEMPLATE)  # its own: what it counts would steer the plans of others
    flags = {"home": tmp_path, "database.url": url.render_as_string(hide_password=False)}
    database = open_database(load_settings(flags=flags))
    job_id = rows.add(database)
    columns = [column.name for column in Task.__table__.columns if column.name not in ("id", "number", "rank")]
    copied = ", ".join(columns)
    with database.write() as session:
        session.execute(
            text(
                f"INSERT INTO tasks ({copied}, number, rank) SELECT {copied}, copy, 1000000 * random()"
                f" FROM tasks, generate_series(1, 20000) AS copy WHERE job_id = {job_id}"
            )
        )
    with database.write() as session:
        session.execute(text("ANALYZE"))
        values = {"queue": "default", "user": "ann", "kind": "cpu", "width": 1, "count": 4}
        prepared = _prepared(_line_statement(), session.get_bind().dialect)
        asked = f"EXPLAIN (FORMAT JSON) {prepared.text}"
        (plan,) = session.connection().exec_driver_sql(asked, prepared.values(values)).scalars()
    database.dispose()
    drop_postgresql(url, postgres_server_url)
    (walk,) = plan[0]["Plan"]["Plans"]
    assert (walk["Node Type"], walk["Index Name"]) == ("Index Scan", "ix_tasks_waiting")
    # Were it to expect that hardly any of them is ready, it would sort all of them as soon as the table is large.
    assert walk["Plan Rows"] > 10_000

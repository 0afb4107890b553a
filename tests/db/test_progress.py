"""How quick a job is, and what it is bound by, as its rows tell it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from db.engine import Database
from db.jobs import NewTask
from db.leases import Lease, finish, heartbeat, publish_shard
from db.listing import JobLine, job_line
from db.progress import Stretch
from db.tables.jobs import Job, Outcome, Role, Task
from db.tables.published import Shard
from tests import rows
from tests.rows import act

TASKS = tuple(NewTask(role=Role.GENERATE, params={"first_shard": 3 * n, "shards": 3}) for n in range(2))


def line(database: Database, job_id: int) -> JobLine:
    with database.read() as session:
        return job_line(session, job_id)


def was(database: Database, row: type[Any], row_id: int, **seconds_ago: float) -> None:
    """Let some of its moments be so long ago."""
    at = datetime.now(UTC)
    values = {name: at - timedelta(seconds=seconds) for name, seconds in seconds_ago.items()}
    database.transact(lambda session: session.execute(update(row).where(row.id == row_id).values(values)))


def two_running(database: Database) -> tuple[Lease, Lease]:
    """Both tasks of a job that began 100 seconds ago, one of them 30 seconds ago."""
    first = rows.running(database, kind="generate", tasks=TASKS, progress_total=600)
    second = rows.claimed(database, rows.add_worker(database, host="there"))
    was(database, Job, first.job_id, started_at=100)
    was(database, Task, first.task_id, started_at=100)
    was(database, Task, second.task_id, started_at=30)
    return first, second


def test_images_were_made_evenly_from_one_moment_to_the_next() -> None:
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    minute = Stretch(noon, noon + timedelta(seconds=60), 120)
    assert [minute.since(noon + timedelta(seconds=seconds)) for seconds in (-9, 0, 15, 60, 99)] == [120, 120, 90, 0, 0]


def test_the_rate_is_that_of_all_tasks_in_the_last_minute(database: Database) -> None:
    first, second = two_running(database)
    assert line(database, first.job_id).rate is None
    act(database, publish_shard, first, rows.shard(first, 0))  # 100 images, made in the first minute
    was(database, Shard, 1, created_at=40)
    act(database, heartbeat, first, {}, 150)
    act(database, heartbeat, second, {}, 60)
    expected = (100 / 3 + 50 + 60) / 60
    assert line(database, first.job_id).rate == pytest.approx(expected, rel=0.1)


def test_what_an_earlier_attempt_has_made_is_no_speed_of_this_one(database: Database) -> None:
    _first, second = two_running(database)
    act(database, publish_shard, second, rows.shard(second, 3))
    was(database, Shard, 1, created_at=300)
    act(database, heartbeat, second, {}, 130)
    assert line(database, second.job_id).rate == pytest.approx(30 / 60, rel=0.1)


def test_of_a_job_that_has_ended_the_rate_is_that_of_all_of_it(database: Database) -> None:
    for lease in two_running(database):
        act(database, finish, lease, Outcome.SUCCEEDED, done=300, result={"spent": {"device": 2.0, "disk": 0.5}})
    was(database, Job, lease.job_id, started_at=200, finished_at=100)
    ended = line(database, lease.job_id)
    assert ended.rate == pytest.approx(6.0, rel=0.1)
    assert ended.spent == {"device": 4.0, "disk": 1.0}


def test_seconds_of_tasks_that_run_and_of_those_that_have_ended_add_up(database: Database) -> None:
    first, second = two_running(database)
    act(database, heartbeat, first, {"spent": {"device": 5.0, "encode": 1.0}}, 10)
    act(database, heartbeat, second, {"spent": {"device": 1.0}}, 10)
    act(database, finish, first, Outcome.SUCCEEDED, done=300, result={"spent": {"device": 6.0, "encode": 2.0}})
    assert line(database, first.job_id).spent == {"device": 7.0, "encode": 2.0}

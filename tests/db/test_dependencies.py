"""The mark of tasks that wait for others: it may be stale, and starts nothing early and keeps nothing back for long."""

from pathlib import Path

import pytest
from sqlalchemy import text, update

from db.control import cancel_job
from db.dispatch import settle_waiting
from db.engine import Database, open_database
from db.leases import finish
from db.tables.jobs import Outcome, Task
from pixmill.settings import load_settings
from tests import rows
from tests.rows import act


def marks(database: Database, job_id: int) -> list[bool]:
    return [task.blocked for task in rows.tasks(database, job_id)]


def mark(database: Database, job_id: int, *, blocked: bool) -> None:
    with database.write() as session:
        session.execute(update(Task).where(Task.job_id == job_id).values(blocked=blocked))


def ready(database: Database) -> list[int]:
    return [rows.task(database, wake_up.task_id).job_id for wake_up in rows.queue(database)]


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_what_waits_for_a_job_is_marked_until_that_ends(database: Database, outcome: Outcome) -> None:
    lease = rows.running(database)
    child, other = rows.add(database, parents={lease.job_id: True}), rows.add(database)
    assert (marks(database, child), marks(database, other)) == ([True], [False])
    act(database, finish, lease, outcome)
    assert marks(database, child) == [False]
    assert ready(database) == [child, other]


def test_what_waits_for_a_cancelled_job_is_marked_until_then(database: Database) -> None:
    parent = rows.add(database)
    child = rows.add(database, parents={parent: True})
    act(database, cancel_job, parent, actor="ann")
    assert marks(database, child) == [False]


def test_what_waits_for_tasks_is_marked_until_one_of_them_ends(database: Database) -> None:
    job_id = rows.add(database, tasks=rows.CHAIN)
    assert marks(database, job_id) == [False, False, True]
    worker = rows.add_worker(database)
    for done in (1, 2):
        assert marks(database, job_id)[2] is (done == 1)
        act(database, finish, rows.claimed(database, worker), Outcome.SUCCEEDED, publish=rows.nothing)
    lease = rows.claimed(database, worker)
    assert lease.task_id == rows.tasks(database, job_id)[2].id


def test_what_waits_for_a_job_that_has_ended_is_not_marked(database: Database) -> None:
    lease = rows.running(database)
    act(database, finish, lease, Outcome.SUCCEEDED)
    assert marks(database, rows.add(database, parents={lease.job_id: False})) == [False]


def test_a_mark_that_was_left_behind_goes_with_the_next_sweep(database: Database) -> None:
    lease = rows.running(database)
    child = rows.add(database, parents={lease.job_id: False})
    act(database, finish, lease, Outcome.SUCCEEDED)
    mark(database, child, blocked=True)
    assert ready(database) == []
    assert act(database, settle_waiting) == 1
    assert act(database, settle_waiting) == 0
    assert ready(database) == [child]


def test_without_its_mark_a_task_still_waits(database: Database) -> None:
    lease = rows.running(database)
    child = rows.add(database, parents={lease.job_id: False})
    mark(database, child, blocked=False)
    assert ready(database) == []
    assert rows.try_claim(database, rows.add_worker(database, host="other")) is None


def test_an_end_does_not_wait_for_a_child_that_somebody_holds(postgres_url: str, tmp_path: Path) -> None:
    database = open_database(load_settings(flags={"home": tmp_path, "database.url": postgres_url}))
    lease = rows.running(database)
    child = rows.add(database, parents={lease.job_id: False})
    with database.write() as other:
        other.execute(text("SELECT id FROM tasks WHERE job_id = :job FOR UPDATE"), {"job": child})
        act(database, finish, lease, Outcome.SUCCEEDED)
        assert act(database, settle_waiting) == 0
    assert marks(database, child) == [True]
    assert act(database, settle_waiting) == 1
    assert ready(database) == [child]
    database.dispose()

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, update

from db.control import hold_job, requeue_job, retry_job
from db.engine import Database
from db.leases import finish
from db.queues import pause_queue, set_queue
from db.reasons import Ahead, Unfinished, last_event, read_ahead, read_lost_parents, read_unfinished
from db.tables.fleet import DeviceKind
from db.tables.jobs import Account, Outcome
from pixmill.states import FailureReason, State
from tests import rows
from tests.rows import act


def unfinished(database: Database, *job_ids: int) -> dict[int, Unfinished]:
    with database.read() as session:
        return read_unfinished(session, job_ids)


def ahead(database: Database, job_id: int) -> Ahead | None:
    with database.read() as session:
        return read_ahead(session, job_id)


def fail(database: Database, **changes: object) -> int:
    lease = rows.running(database, **changes)
    act(database, finish, lease, Outcome.FAILED, reason=FailureReason.DISK_FULL, message="full")
    return lease.job_id


def test_the_tasks_of_many_jobs_are_counted_by_state(database: Database) -> None:
    ended = fail(database, retries=0)
    running = rows.running(database).job_id
    chain, held = rows.add(database, tasks=rows.CHAIN), rows.add(database, hold=True)
    found = unfinished(database, running, chain, held, ended)
    assert {job_id: dict(one.states) for job_id, one in found.items()} == {
        running: {State.RUNNING: 1},
        chain: {State.PENDING: 3},
        held: {State.HELD: 1},
    }
    assert found[chain].count(State.PENDING, State.HELD) == 3


def test_a_wish_to_stop_what_runs_is_told(database: Database) -> None:
    job_id = rows.running(database).job_id
    assert unfinished(database, job_id)[job_id].stop_to is None
    act(database, requeue_job, job_id, actor="olga", hold=True)
    assert unfinished(database, job_id)[job_id].stop_to is State.HELD


def test_a_back_off_is_told_until_an_operator_forgives_it(database: Database) -> None:
    job_id = fail(database, retries=3, retry_seconds=600.0)
    back_off = unfinished(database, job_id)[job_id].back_off
    assert back_off is not None
    assert (back_off.retry, back_off.retries, back_off.reason, back_off.message) == (1, 3, "DiskFull", "full")
    assert timedelta(minutes=7) < back_off.until - datetime.now(UTC) < timedelta(minutes=13)
    again = fail(database, retries=0, queue="other")
    act(database, retry_job, again, actor="olga")
    assert unfinished(database, again)[again].back_off is None


def test_a_begin_time_is_no_back_off(database: Database) -> None:
    job_id = rows.add(database, begin_at=datetime.now(UTC) + timedelta(hours=1))
    assert unfinished(database, job_id)[job_id].back_off is None


def test_a_back_off_of_one_task_is_none_of_the_job_while_another_could_start(database: Database) -> None:
    job_id = fail(database, tasks=rows.TWO_TASKS, retries=1)
    assert unfinished(database, job_id)[job_id].back_off is None
    act(database, hold_job, job_id, actor="olga")
    alone = fail(database, tasks=rows.CHAIN[1:2], retries=1, queue="other")
    assert unfinished(database, alone)[alone].back_off is not None


def test_parents_that_did_not_succeed_are_told(database: Database) -> None:
    lost = fail(database, retries=0)
    child = rows.add(database, parents={lost: False})
    patient = rows.add(database, parents={lost: True})
    found = unfinished(database, child, patient)
    assert (found[child].lost_parents, found[patient].lost_parents) == ((lost,), ())
    with database.read() as session:
        assert read_lost_parents(session, child) == (lost,)


def test_a_list_of_jobs_takes_a_fixed_number_of_statements(database: Database) -> None:
    jobs = [rows.add(database) for _ in range(12)]
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    unfinished(database, *jobs[:1])
    few = len(statements)
    unfinished(database, *jobs)
    assert len(statements) == 2 * few


def test_those_who_go_first_are_counted_by_rank_inside_an_account(database: Database) -> None:
    first, second, third = (rows.add(database) for _ in range(3))
    assert [found.tasks for job_id in (first, second, third) if (found := ahead(database, job_id))] == [0, 1, 2]
    urgent = rows.add(database, priority=10)
    found = ahead(database, urgent)
    assert found is not None
    assert (found.tasks, found.of_the_user) == (0, 0)
    found = ahead(database, third)
    assert found is not None
    assert (found.tasks, found.of_the_user) == (3, 3)


def test_the_count_agrees_with_what_the_dispatch_takes_first(database: Database) -> None:
    for user in ("ann", "bob", "ann", "cy", "bob", "bob"):
        rows.add(database, user_name=user, queue="night" if user == "cy" else "default")
    used = update(Account).where(Account.user_name == "bob").values(device_seconds=300.0)
    database.transact(lambda session: session.execute(used))
    last = rows.add(database, user_name="ann")
    found = ahead(database, last)
    assert found is not None
    order = [wake_up.task_id for wake_up in rows.queue(database)]
    with database.read() as session:
        from db.views import job_tasks

        (task,) = job_tasks(session, last)
    assert order.index(task.id) == found.tasks
    assert found.of_the_user == 2
    assert found.device_seconds["ann"] == 0


def test_accounts_at_their_limit_are_not_ahead(database: Database) -> None:
    worker = rows.add_worker(database)
    rows.add(database, queue="bulk", user_name="bob")
    rows.queue(database)
    assert rows.try_claim(database, worker) is not None
    rows.add(database, queue="bulk", user_name="bob", priority=100)
    job_id = rows.add(database)
    found = ahead(database, job_id)
    assert found is not None
    before = found.tasks
    act(database, set_queue, "bulk", actor="olga", max_running=1)
    found = ahead(database, job_id)
    assert found is not None
    assert (before, found.tasks) == (1, 0)


def test_tasks_for_other_devices_are_not_ahead(database: Database) -> None:
    rows.add(database, device_kind=DeviceKind.CUDA)
    job_id = rows.add(database, device_kind=DeviceKind.CPU)
    found = ahead(database, job_id)
    assert found is not None
    assert found.tasks == 0


@pytest.mark.parametrize("paused", [True, False])
def test_nobody_is_ahead_of_a_job_that_takes_no_part(paused: bool, database: Database) -> None:
    job_id = rows.add(database) if paused else rows.running(database).job_id
    if paused:
        act(database, pause_queue, "default", actor="olga", why=None)
    assert ahead(database, job_id) is None


def test_the_last_event_of_some_kind_is_found(database: Database) -> None:
    job_id = rows.add(database)
    act(database, hold_job, job_id, actor="bob", why="mended first")
    with database.read() as session:
        found = last_event(session, job_id, ("hold", "submit"))
        assert found is not None
        assert (found.actor, found.detail) == ("bob", "mended first")
        assert last_event(session, job_id, ("cancel",)) is None

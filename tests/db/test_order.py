"""Who goes first: priority that ages, fair shares between users and queues, limits."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select, update

from db.control import set_job
from db.engine import Database
from db.leases import finish
from db.order import HALF_LIFE_SECONDS, active_tasks, faded, rank_of, read_shares
from db.queues import set_queue
from db.tables.jobs import Account, Job, Outcome, Task
from db.workers import charge_account
from pixmill.states import State
from tests import rows
from tests.rows import act


def jobs_in_order(database: Database, count: int = 100) -> list[int]:
    return [rows.task(database, wake_up.task_id).job_id for wake_up in rows.queue(database, count)]


def submitted_earlier(database: Database, job_id: int, seconds: float) -> None:
    """Move a job's submit into the past."""
    with database.write() as session:
        at = session.get_one(Job, job_id).submitted_at - timedelta(seconds=seconds)
        priority = session.get_one(Job, job_id).priority
        session.execute(update(Job).where(Job.id == job_id).values(submitted_at=at))
        session.execute(update(Task).where(Task.job_id == job_id).values(rank=rank_of(at, priority)))


def limit(database: Database, queue: str = "default", **changes: Any) -> None:
    act(database, set_queue, queue, actor="ann", **changes)


def test_a_point_of_priority_is_worth_a_minute_of_waiting(database: Database) -> None:
    old, urgent = rows.add(database), rows.add(database, priority=10)
    submitted_earlier(database, old, 9 * 60)
    assert jobs_in_order(database, 1) == [urgent]
    other = rows.add(database, priority=10)
    submitted_earlier(database, old, 2 * 60)
    assert jobs_in_order(database) == [old, other]


def test_rank_is_the_submit_less_the_priority() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert rank_of(at, 0) - rank_of(at, 1) == 60_000
    assert rank_of(at + timedelta(minutes=1), 1) == rank_of(at, 0)


def test_who_used_less_of_the_devices_goes_first(database: Database) -> None:
    many = [rows.add(database, user_name="ann") for _ in range(3)]
    few = rows.add(database, user_name="bob")
    act(database, charge_account, "default", "ann", 3600.0)
    assert jobs_in_order(database) == [few, *many]


def test_a_long_wait_outweighs_a_use(database: Database) -> None:
    waited = rows.add(database, user_name="ann")
    rows.add(database, user_name="bob")
    act(database, charge_account, "default", "ann", 600.0)
    submitted_earlier(database, waited, 601)
    assert jobs_in_order(database, 1) == [waited]


def test_what_runs_counts_at_once_so_that_users_take_turns(database: Database) -> None:
    first = [rows.add(database, user_name="ann") for _ in range(4)]
    second = [rows.add(database, user_name="bob") for _ in range(2)]
    assert jobs_in_order(database) == [first[0], second[0], first[1], second[1], first[2], first[3]]


def test_a_use_fades() -> None:
    assert faded(100.0, 0.0) == 100.0
    assert faded(100.0, 2 * HALF_LIFE_SECONDS) == pytest.approx(25.0)
    assert faded(100.0, -5.0) == 100.0, "a clock that went back adds nothing"


def test_charges_add_up_and_fade_between(database: Database) -> None:
    rows.add(database)
    act(database, charge_account, "default", "ann", 100.0)
    with database.write() as session:
        account = session.get_one(Account, ("default", "ann"))
        account.charged_at -= timedelta(seconds=HALF_LIFE_SECONDS)
    act(database, charge_account, "default", "ann", 7.0)
    with database.read() as session:
        assert session.get_one(Account, ("default", "ann")).device_seconds == pytest.approx(57.0, abs=0.1)


def test_a_user_who_used_another_queue_waits_for_it_here_too(database: Database) -> None:
    rows.add(database, user_name="ann", queue="other")
    act(database, charge_account, "other", "ann", 3600.0)
    hers = rows.add(database, user_name="ann")
    his = rows.add(database, user_name="bob")
    order = jobs_in_order(database)
    assert order.index(his) < order.index(hers)


def test_a_heavier_queue_gets_more(database: Database) -> None:
    light = rows.add(database, queue="light", user_name="ann")
    heavy = rows.add(database, queue="heavy", user_name="bob")
    limit(database, "heavy", weight=10.0)
    for queue, user in (("light", "ann"), ("heavy", "bob")):
        act(database, charge_account, queue, user, 600.0)
    assert jobs_in_order(database) == [heavy, light]


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_a_queue_runs_no_more_than_it_may(database: Database, taken: int) -> None:
    for _ in range(4):
        rows.add(database)
    rows.add(database, queue="free")
    limit(database, max_running=2)
    workers = [rows.add_worker(database, host=f"h{number}") for number in range(6)]
    rows.queue(database, taken)
    got = [lease for worker in workers if (lease := rows.try_claim(database, worker))]
    assert sorted(lease.queue for lease in got) == ["default", "default", "free"]
    act(database, finish, next(lease for lease in got if lease.queue == "default"), Outcome.SUCCEEDED)
    assert rows.claimed(database, workers[5]).queue == "default"


def test_a_user_runs_no_more_than_the_queue_lets_each(database: Database) -> None:
    for user in ("ann", "ann", "ann", "bob"):
        rows.add(database, user_name=user)
    limit(database, max_running_per_user=1)
    assert sorted(rows.task(database, wake_up.task_id).user_name for wake_up in rows.queue(database)) == ["ann", "bob"]
    assert rows.queue(database) == []


def test_a_lifted_limit_lets_the_rest_go(database: Database) -> None:
    for _ in range(3):
        rows.add(database)
    limit(database, max_running=1)
    assert len(rows.queue(database)) == 1
    limit(database, max_running=None)
    assert len(rows.queue(database)) == 2


def test_workers_that_claim_at_once_do_not_pass_the_limit(database: Database) -> None:
    for _ in range(6):
        rows.add(database)
    rows.queue(database)
    limit(database, max_running=2)
    workers = [rows.add_worker(database, host=f"h{number}") for number in range(6)]
    got = rows.run_all(*[partial(rows.try_claim, database, worker) for worker in workers])
    assert sum(lease is not None for lease in got) == 2
    with database.read() as session:
        assert session.scalar(select(func.count()).where(Task.state == State.RUNNING)) == 2


def test_shares_tell_what_the_order_is_made_of(database: Database) -> None:
    rows.running(database, user_name="ann")
    rows.add(database, user_name="bob")
    limit(database, weight=2.0, max_running=5)
    act(database, charge_account, "default", "ann", 50.0)
    with database.read() as session:
        shares = {share.user: share for share in read_shares(session)}
        assert active_tasks(session) == {("default", "ann"): 1}
    assert (shares["ann"].waits, shares["bob"].waits) == (False, True)
    assert shares["ann"].device_seconds == pytest.approx(50.0, abs=0.1)
    assert (shares["bob"].weight, shares["bob"].max_running, shares["bob"].has_limit) == (2.0, 5, True)


def test_a_job_moved_to_another_queue_obeys_its_limit(database: Database) -> None:
    moved = rows.add(database)
    rows.running(database, queue="small")
    limit(database, "small", max_running=1)
    act(database, set_job, moved, queue="small", actor="ann")
    assert rows.queue(database) == []

"""Failures that may pass are tried again after a growing while; others are not."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from db.control import cancel_job
from db.engine import Database
from db.leases import JITTER, LONGEST_BACKOFF_SECONDS, Lease, backoff_seconds, finish
from db.tables.jobs import Outcome, Task
from db.views import job_attempts
from db.workers import database_time
from pixmill.states import FailureReason, State
from tests import rows
from tests.rows import act


def fail(database: Database, lease: Lease, reason: FailureReason = FailureReason.ERROR) -> State:
    return act(database, finish, lease, Outcome.FAILED, reason=reason, message="a passing cloud")


def seconds_to_wait(database: Database, task_id: int) -> float:
    with database.read() as session:
        at = database_time(session)
        available_at = session.get_one(Task, task_id).available_at
    assert available_at is not None
    return (available_at - at).total_seconds()


def let_time_pass(database: Database, task_id: int) -> None:
    with database.write() as session:
        session.execute(update(Task).where(Task.id == task_id).values(available_at=database_time(session)))


def test_a_failure_is_tried_again_after_a_while_that_doubles(database: Database) -> None:
    job_id = rows.add(database, retries=3, retry_seconds=100.0)
    for expected in (100.0, 200.0, 400.0):
        rows.queue(database)
        lease = rows.claimed(database, rows.add_worker(database))
        assert fail(database, lease) is State.PENDING
        assert expected * (1 - JITTER) - 1 <= seconds_to_wait(database, lease.task_id) <= expected * (1 + JITTER)
        assert rows.queue(database) == [], "not before its time"
        assert rows.try_claim(database, rows.add_worker(database)) is None
        let_time_pass(database, lease.task_id)
    rows.queue(database)
    lease = rows.claimed(database, rows.add_worker(database))
    assert fail(database, lease) is State.FAILED
    job, task = rows.job(database, job_id), rows.task(database, lease.task_id)
    assert (job.state, job.reason, job.message, task.failures) == (State.FAILED, "Error", "a passing cloud", 4)


def test_while_it_waits_the_last_failure_stays_visible(database: Database) -> None:
    lease = rows.running(database, retries=1)
    fail(database, lease, FailureReason.DISK_FULL)
    task = rows.task(database, lease.task_id)
    assert (task.state, task.reason, task.message) == (State.PENDING, "DiskFull", "a passing cloud")
    with database.read() as session:
        ((attempt, _task, _worker),) = job_attempts(session, lease.job_id)
    assert (attempt.outcome, attempt.reason) == (Outcome.FAILED, "DiskFull")


@pytest.mark.parametrize("reason", [reason for reason in FailureReason if not reason.is_retried])
def test_what_would_fail_again_is_not_tried_again(database: Database, reason: FailureReason) -> None:
    assert fail(database, rows.running(database, retries=5), reason) is State.FAILED


def test_a_success_clears_what_an_earlier_failure_left(database: Database) -> None:
    lease = rows.running(database, retries=1)
    fail(database, lease)
    let_time_pass(database, lease.task_id)
    rows.queue(database)
    again = rows.claimed(database, rows.add_worker(database, host="other"))
    act(database, finish, again, Outcome.SUCCEEDED, publish=rows.nothing)
    task, job = rows.task(database, lease.task_id), rows.job(database, lease.job_id)
    assert (task.state, task.reason, task.message, job.reason) == (State.SUCCEEDED, None, None, None)


def test_a_failure_after_a_cancel_is_not_tried_again(database: Database) -> None:
    lease = rows.running(database, retries=5)
    act(database, cancel_job, lease.job_id, actor="ann")
    fail(database, lease)
    assert rows.job(database, lease.job_id).state is State.CANCELLED


def test_telling_a_failure_twice_counts_it_once(database: Database) -> None:
    lease = rows.running(database, retries=2)
    first = fail(database, lease)
    fail(database, lease)
    task = rows.task(database, lease.task_id)
    assert (first, task.state, task.failures) == (State.PENDING, State.PENDING, 1)
    with database.read() as session:
        assert len(job_attempts(session, lease.job_id)) == 1


def test_the_back_off_ends_at_an_hour() -> None:
    assert backoff_seconds(30.0, 1000) == LONGEST_BACKOFF_SECONDS
    assert timedelta(seconds=backoff_seconds(30.0, 3)) == timedelta(minutes=4)

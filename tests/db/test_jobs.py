from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from db.control import cancel_job, release_job
from db.dependencies import doomed_jobs
from db.dispatch import fail_doomed_jobs
from db.engine import Database
from db.finding import get_job
from db.jobs import add_job, find_by_key
from db.leases import finish, heartbeat
from db.tables.jobs import Job, Outcome, Queue
from db.views import job_events
from db.workers import database_time
from pixmill.errors import InvalidMove, NotFound
from pixmill.states import FailureReason, State
from tests import rows
from tests.rows import act

S = State


def finished(database: Database, outcome: Outcome = Outcome.SUCCEEDED) -> int:
    lease = rows.running(database)
    act(database, finish, lease, outcome)
    return lease.job_id


def ready(database: Database) -> list[int]:
    """Jobs whose tasks the scheduler would send now, in that order."""
    return [rows.task(database, wake_up.task_id).job_id for wake_up in rows.queue(database)]


def test_a_job_is_added_with_its_tasks_their_order_and_its_first_event(database: Database) -> None:
    job_id = rows.add(database, tasks=rows.CHAIN, labels={"owner": "ann"}, priority=7, queue="nightly")
    job, tasks = rows.job(database, job_id), rows.tasks(database, job_id)
    assert (job.state, job.labels, job.priority, job.cancel_requested) == (S.PENDING, {"owner": "ann"}, 7, False)
    assert [(task.number, task.role, task.queue, task.priority) for task in tasks] == [
        (0, "generate", "nightly", 7),
        (1, "generate", "nightly", 7),
        (2, "assemble", "nightly", 7),
    ]
    with database.read() as session:
        (event,) = job_events(session, job_id)
        assert (event.actor, event.action, event.to_state) == ("ann", "submit", S.PENDING)
        assert abs(event.at - database_time(session)) < timedelta(seconds=60)
        assert session.get_one(Queue, "nightly").paused is False


def test_a_key_belongs_to_one_job(database: Database) -> None:
    job_id = rows.add(database, key="nightly-1")
    with pytest.raises(IntegrityError):
        rows.add(database, key="nightly-1")
    with database.read() as session:
        found, none = find_by_key(session, "nightly-1"), find_by_key(session, "nightly-2")
        assert session.scalar(select(func.count()).select_from(Job)) == 1
    assert found is not None
    assert (found.id, none) == (job_id, None)


def test_jobs_without_a_key_are_never_the_same(database: Database) -> None:
    assert rows.add(database) != rows.add(database)


@pytest.mark.parametrize("job_id", [999, 10**30])
def test_an_unknown_job_is_not_found(database: Database, job_id: int) -> None:
    with database.read() as session, pytest.raises(NotFound, match=str(job_id)):
        get_job(session, job_id)


def test_two_jobs_in_the_same_new_queue_can_be_added_at_once(database: Database) -> None:
    added = rows.run_all(*[partial(rows.add, database, queue="new")] * 4)
    assert len(set(added)) == 4
    assert all(isinstance(job_id, int) for job_id in added)


def test_a_task_waits_for_the_tasks_it_needs(database: Database) -> None:
    job_id = rows.add(database, kind="generate", tasks=rows.CHAIN)
    worker = rows.add_worker(database)
    assert ready(database) == [job_id, job_id]
    for _ in range(2):
        assert rows.job(database, job_id).state in (S.QUEUED, S.RUNNING)
        act(database, finish, rows.claimed(database, worker), Outcome.SUCCEEDED)
    assert rows.job(database, job_id).state is S.RUNNING
    assert ready(database) == [job_id]
    act(database, finish, rows.claimed(database, worker), Outcome.SUCCEEDED)
    assert rows.job(database, job_id).state is S.SUCCEEDED


@pytest.mark.parametrize("any_outcome", [False, True])
@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED])
def test_a_child_starts_as_its_policy_says(database: Database, any_outcome: bool, outcome: Outcome) -> None:
    parent = rows.add(database)
    child = rows.add(database, parents={parent: any_outcome})
    assert ready(database) == [parent]
    lease = rows.claimed(database, rows.add_worker(database))
    assert ready(database) == []
    act(database, finish, lease, outcome)
    may_start = any_outcome or outcome is Outcome.SUCCEEDED
    assert act(database, fail_doomed_jobs) == (0 if may_start else 1)
    assert ready(database) == ([child] if may_start else [])
    job = rows.job(database, child)
    if may_start:
        assert job.state is S.QUEUED
    else:
        assert (job.state, job.reason) == (S.FAILED, FailureReason.DEPENDENCY)
        assert job.message == f"job {parent}, which it waits for, did not succeed"


def test_a_child_of_two_parents_waits_for_both(database: Database) -> None:
    first, second = finished(database), rows.add(database)
    child = rows.add(database, parents={first: False, second: False})
    assert ready(database) == [second]
    act(database, finish, rows.claimed(database, rows.add_worker(database)), Outcome.SUCCEEDED)
    assert ready(database) == [child]


def test_failure_runs_down_a_whole_chain(database: Database) -> None:
    root = rows.add(database)
    chain = [rows.add(database, parents={root: False})]
    for _ in range(3):
        chain.append(rows.add(database, parents={chain[-1]: False}, hold=True))
    act(database, cancel_job, root, actor="ann")
    while act(database, fail_doomed_jobs):
        pass
    assert [rows.job(database, job_id).state for job_id in chain] == [S.FAILED] * 4
    with database.read() as session:
        assert list(doomed_jobs(session)) == []


def test_a_doomed_job_of_many_tasks_fails_as_one(database: Database) -> None:
    child = rows.add(database, tasks=rows.CHAIN, parents={finished(database, Outcome.FAILED): False})
    assert act(database, fail_doomed_jobs) == 1
    assert set(rows.states(database, child)) <= {S.FAILED, S.CANCELLED}
    assert rows.job(database, child).state is S.FAILED


@pytest.mark.parametrize("state", ["pending", "held", "queued"])
def test_a_cancelled_job_that_nobody_runs_is_cancelled_at_once(database: Database, state: str) -> None:
    job_id = rows.add(database, hold=state == "held", tasks=rows.CHAIN)
    if state == "queued":
        rows.queue(database)
    assert act(database, cancel_job, job_id, actor="bob", why="too dear") is S.CANCELLED
    assert rows.states(database, job_id) == [S.CANCELLED] * 3
    with database.read() as session:
        events = job_events(session, job_id)
    assert all(event.actor == "bob" for event in events if event.action.startswith("cancel"))
    assert "too dear" in {event.detail for event in events}


def test_a_running_job_is_asked_to_stop_and_its_waiting_tasks_are_cancelled(database: Database) -> None:
    lease = rows.running(database, tasks=rows.CHAIN)
    assert act(database, cancel_job, lease.job_id, actor="ann") is S.RUNNING
    assert sorted(rows.states(database, lease.job_id)) == [S.CANCELLED, S.CANCELLED, S.RUNNING]
    assert act(database, heartbeat, lease, None, 0)
    assert act(database, cancel_job, lease.job_id, actor="ann") is S.RUNNING
    act(database, finish, lease, Outcome.CANCELLED)
    assert rows.job(database, lease.job_id).state is S.CANCELLED


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.SUCCEEDED, "already succeeded"),
        (Outcome.FAILED, "already failed"),
        (Outcome.CANCELLED, "already been cancelled"),
    ],
)
def test_a_job_that_has_ended_cannot_be_cancelled(database: Database, outcome: Outcome, words: str) -> None:
    job_id = finished(database, outcome)
    before = rows.job(database, job_id)
    with pytest.raises(InvalidMove, match=f"job {job_id} has {words}"):
        act(database, cancel_job, job_id, actor="ann")
    after = rows.job(database, job_id)
    assert (after.state, after.cancel_requested) == (before.state, False)


def test_cancel_and_finish_at_the_same_moment_have_one_winner(database: Database) -> None:
    for _ in range(5):
        lease = rows.running(database)
        cancelled, done = rows.run_all(
            partial(act, database, cancel_job, lease.job_id, actor="ann"),
            partial(act, database, finish, lease, Outcome.SUCCEEDED),
        )
        assert done is S.SUCCEEDED
        assert rows.job(database, lease.job_id).state is S.SUCCEEDED
        assert cancelled is S.RUNNING or isinstance(cancelled, InvalidMove)


def test_a_held_job_waits_until_it_is_released(database: Database) -> None:
    job_id = rows.add(database, hold=True, tasks=rows.TWO_TASKS)
    assert rows.job(database, job_id).state is S.HELD
    assert ready(database) == []
    act(database, release_job, job_id, actor="ann")
    assert rows.job(database, job_id).state is S.PENDING
    assert ready(database) == [job_id, job_id]


def test_only_a_held_job_can_be_released(database: Database) -> None:
    job_id = rows.add(database)
    with pytest.raises(InvalidMove, match=f"job {job_id} is pending, not held"):
        act(database, release_job, job_id, actor="ann")
    with pytest.raises(NotFound):
        act(database, release_job, 999, actor="ann")


def test_ids_are_never_given_twice(database: Database) -> None:
    last = rows.add(database)
    with database.write() as session:
        session.execute(delete(Job).where(Job.id == last))
    assert rows.add(database) > last


def test_nothing_of_a_job_is_added_when_a_part_cannot_be(database: Database) -> None:
    with pytest.raises(IntegrityError):
        act(database, add_job, rows.new_job(parents={999: False}))
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0

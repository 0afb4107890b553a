"""A database that was restored from a copy: ids, epochs and leases of the rows that were lost come to nobody again."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from db.claims import claim
from db.engine import Database
from db.handfuls import claim_alike
from db.leases import Lease, finish, heartbeat
from db.tables.fleet import Scheduler, Worker
from db.tables.jobs import Attempt, Event, Job, Outcome, Role, Task
from db.tables.pipelines import PipelineRun
from db.taken import step_over
from db.timeline import RESTORED, STEPPED, LaterIds, acknowledge, acknowledged_at
from db.workers import register_scheduler
from pixmill.errors import LeaseLost
from pixmill.settings import Settings
from pixmill.states import State
from tests import rows
from tests.rows import act


@pytest.fixture
def root(settings: Settings) -> Path:
    return settings.storage_root


def put(root: Path, *folders: str) -> None:
    for folder in folders:
        (root / folder).mkdir(parents=True)


def events(database: Database, action: str) -> list[Event]:
    with database.read() as session:
        return list(session.scalars(select(Event).where(Event.action == action)))


def forget_claim(database: Database, lease: Lease) -> None:
    """Put the rows back to where they were before a task was claimed."""
    with database.write() as session:
        session.execute(delete(Attempt).where(Attempt.task_id == lease.task_id))
        session.execute(update(Task).where(Task.id == lease.task_id).values(state=State.QUEUED, lease_epoch=0))


def test_no_job_gets_an_id_under_which_files_lie(database: Database, root: Path) -> None:
    assert [rows.add(database), rows.add(database)] == [1, 2]
    put(root, "runs/3/7/1", "outputs/5", "runs/notes")
    assert rows.add(database) == 6
    assert rows.add(database) == 7
    put(root, "runs/9")
    assert rows.add(database) == 8  # of nobody
    assert rows.add(database) in (10, 11)  # PostgreSQL looks at a sequence by drawing from it


def test_jobs_that_are_added_together_pass_over_files_together(database: Database, root: Path) -> None:
    from db.jobs import add_jobs

    put(root, "runs/2", "outputs/4")
    assert act(database, add_jobs, [rows.new_job() for _ in range(3)]) == [5, 6, 7]


def test_ids_step_over_and_never_back(database: Database) -> None:
    for table in (Job, Task, PipelineRun):
        act(database, step_over, table, 20)
        act(database, step_over, table, 10)
        act(database, step_over, table, 0)
        act(database, step_over, table, 10**15)  # of nobody
    assert rows.add(database) in (21, 22, 23)
    with database.read() as session:
        assert session.scalars(select(Task.id)).one() in (21, 22, 23)


def test_a_folder_that_is_far_ahead_costs_no_long_step(database: Database, root: Path) -> None:
    put(root, "runs/1", "runs/2", "runs/900000000", "outputs/90000000000000")
    assert rows.add(database) in ((900000001,) if database.is_sqlite else (3, 4, 5))


def test_an_attempt_passes_over_folders_that_lie_there(database: Database, root: Path) -> None:
    rows.add(database)
    rows.queue(database)
    put(root, "runs/1/1/1", "runs/1/1/4")
    worker = rows.add_worker(database)
    lease = rows.claimed(database, worker)
    assert (lease.epoch, lease.folder) == (5, "runs/1/1/5")
    assert rows.task(database, 1).lease_epoch == 5
    with database.read() as session:
        attempt = session.scalars(select(Attempt)).one()
    assert (attempt.lease_epoch, attempt.folder) == (5, "runs/1/1/5")
    (event,) = events(database, STEPPED)
    assert event.detail is not None
    assert "runs/1/1/1 is there already" in event.detail
    act(database, finish, lease, Outcome.SUCCEEDED)
    assert rows.job(database, 1).state is State.SUCCEEDED


def test_an_attempt_of_a_handful_does_so_too(database: Database, root: Path) -> None:
    for _ in range(2):
        rows.add(database)
    rows.queue(database)
    put(root, "runs/2/2/1")
    worker = rows.add_worker(database)
    leases = act(database, claim_alike, worker, Role.TRAIN, 8, rows.folder)
    assert [(lease.task_id, lease.epoch) for lease in leases] == [(1, 1), (2, 2)]
    for lease in leases:
        act(database, heartbeat, lease, None, 0)


def test_a_worker_of_lost_rows_can_change_nothing(database: Database, root: Path) -> None:
    lost = rows.running(database)
    put(root, lost.folder)
    forget_claim(database, lost)
    other = rows.claimed(database, rows.add_worker(database, number=1, host="there"))
    assert other.epoch == lost.epoch + 1
    with pytest.raises(LeaseLost):
        act(database, heartbeat, lost, None, 0)
    with pytest.raises(LeaseLost):
        act(database, finish, lost, Outcome.SUCCEEDED)
    act(database, finish, other, Outcome.SUCCEEDED)


def test_even_one_that_holds_the_very_epoch_can_change_nothing(database: Database) -> None:
    """Its folder was not made yet, or lies on a disk that is gone."""
    lost = rows.running(database)
    forget_claim(database, lost)
    other = rows.claimed(database, rows.add_worker(database, number=1, host="there"))
    assert other.epoch == lost.epoch
    with pytest.raises(LeaseLost):
        act(database, heartbeat, lost, None, 0)
    with pytest.raises(LeaseLost):
        act(database, finish, lost, Outcome.SUCCEEDED)
    act(database, heartbeat, other, None, 0)


def test_what_ran_by_the_rows_waits_again_above_all_epochs_of_files(database: Database) -> None:
    lease = rows.running(database)
    act(database, register_scheduler, "here", 7)
    later = LaterIds(job=41, task=57, pipeline_run=3, epochs={lease.task_id: 6, 57: 2})
    assert act(database, acknowledged_at) is None
    done = act(database, partial(acknowledge, later=later, actor="olga", detail="no row knew 2 attempts"))
    assert (done.waiting, done.stepped) == ([lease.job_id], 1)
    assert act(database, acknowledged_at) is not None
    task = rows.task(database, lease.task_id)
    assert (task.state, task.lease_epoch, task.preemptions, task.worker_id) == (State.PENDING, 6, 1, None)
    with database.read() as session:
        assert session.scalars(select(Attempt.outcome)).one() is Outcome.PREEMPTED
        assert session.scalars(select(Worker).where(Worker.stopped_at.is_(None))).all() == []
        assert session.scalars(select(Scheduler).where(Scheduler.stopped_at.is_(None))).all() == []
    with pytest.raises(LeaseLost):
        act(database, finish, lease, Outcome.SUCCEEDED)
    assert rows.add(database) > 41
    assert {event.actor for event in events(database, RESTORED)} == {"olga"}
    again = act(database, partial(acknowledge, later=LaterIds(), actor="olga", detail="nothing"))
    assert (again.waiting, again.stepped) == ([], 0)
    rows.queue(database)
    worker = rows.add_worker(database, number=1, host="there")
    assert act(database, claim, worker, (lease.task_id, task.dispatch_seq + 1), rows.folder).epoch == 7  # type: ignore[union-attr]


def test_a_lease_whose_job_was_cancelled_ends_so(database: Database) -> None:
    lease = rows.running(database)
    with database.write() as session:
        session.execute(update(Job).values(cancel_requested=True))
    act(database, partial(acknowledge, later=LaterIds(), actor="olga", detail="nothing"))
    assert rows.job(database, lease.job_id).state is State.CANCELLED
    with pytest.raises(LeaseLost):
        act(database, heartbeat, replace(lease, epoch=lease.epoch), None, 0)

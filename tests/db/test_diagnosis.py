from datetime import timedelta

from sqlalchemy import update

from db.control import hold_job
from db.diagnosis import (
    PostgresFacts,
    QueueLoad,
    SqliteFacts,
    failures_since,
    held_jobs,
    jobs_behind_held,
    queue_loads,
    quick_check,
    running_schedulers,
    server_facts,
    stranded_tasks,
    waiting_needs,
)
from db.engine import Database
from db.leases import finish
from db.tables.fleet import DeviceKind
from db.tables.jobs import Job, Outcome
from db.workers import register_scheduler, stop_scheduler, stop_worker
from pixmill.states import FailureReason
from tests import rows
from tests.rows import act


def test_the_server_tells_its_version_and_size(database: Database) -> None:
    facts = act(database, server_facts)
    assert facts.size_bytes > 50_000
    assert facts.version[0].isdigit()
    if database.is_sqlite:
        assert isinstance(facts, SqliteFacts)
        assert facts.journal_mode == "wal"
        assert 0 <= facts.free_bytes < facts.size_bytes
    else:
        assert isinstance(facts, PostgresFacts)
        assert 1 <= facts.connections <= facts.max_connections


def test_a_sound_embedded_database_has_no_damage(sqlite_url: str, database: Database) -> None:
    if database.is_sqlite:
        assert act(database, quick_check) == []


def test_schedulers_that_have_not_ended_are_listed_the_last_seen_first(database: Database) -> None:
    first = act(database, register_scheduler, "a", 1)
    second = act(database, register_scheduler, "b", 2)
    gone = act(database, register_scheduler, "c", 3)
    act(database, stop_scheduler, gone.id)
    assert [row.id for row in act(database, running_schedulers)] == [second.id, first.id]


def test_a_task_under_a_worker_that_has_ended_is_stranded(database: Database) -> None:
    lease = rows.running(database)
    assert act(database, stranded_tasks) == []
    act(database, stop_worker, lease.worker_id)
    (found,) = act(database, stranded_tasks)
    assert (found.task_id, found.job_id, found.worker) == (lease.task_id, lease.job_id, lease.worker_name)


def test_failures_are_counted_by_reason_within_their_hours(database: Database) -> None:
    for reason in (FailureReason.OUT_OF_MEMORY, FailureReason.OUT_OF_MEMORY, FailureReason.USER_ERROR):
        lease = rows.running(database)
        act(database, finish, lease, Outcome.FAILED, reason=reason, message="no")
    assert list(act(database, failures_since, 24.0).items()) == [("OOM", 2), ("UserError", 1)]
    with database.write() as session:
        day = timedelta(days=2)
        for job in session.query(Job):
            session.execute(update(Job).where(Job.id == job.id).values(finished_at=job.submitted_at - day))
    assert act(database, failures_since, 24.0) == {}


def test_running_and_waiting_tasks_are_counted_by_queue(database: Database) -> None:
    rows.running(database)
    rows.add(database, queue="bulk")
    rows.add(database, queue="bulk", device_kind=DeviceKind.CUDA)
    assert act(database, queue_loads) == {"default": QueueLoad(1, 0), "bulk": QueueLoad(0, 2)}
    assert act(database, waiting_needs) == {(None, 1): 1, (DeviceKind.CUDA, 1): 1}


def test_held_jobs_and_those_that_wait_for_them_are_found(database: Database) -> None:
    parent = rows.add(database)
    child = rows.add(database, parents={parent: False})
    assert act(database, jobs_behind_held) == []
    act(database, hold_job, parent, actor="ann")
    assert act(database, held_jobs) == 1
    assert act(database, jobs_behind_held) == [(child, parent)]

"""Jobs that do not get on, for each reason that there is."""

from cli.doctor.findings import Level
from cli.doctor.jobs import examine_jobs
from client.fleet import read_fleet
from db.control import hold_job
from db.engine import Database
from db.leases import finish
from db.queues import pause_queue, set_queue
from db.tables.fleet import DeviceKind
from db.tables.jobs import Outcome
from db.workers import database_time, stop_worker
from pixmill.states import FailureReason
from tests import rows
from tests.cli.diagnosing import wrong
from tests.cli.running import at_once
from tests.rows import act


def jobs(database: Database) -> dict[str, tuple[Level, str | None]]:
    with database.read() as session:
        return wrong(examine_jobs(session, read_fleet(session, 30.0), database_time(session)))


def test_jobs_that_get_on_need_nothing(database: Database) -> None:
    rows.running(database)
    rows.add(database)
    assert jobs(database) == {}


def test_a_job_under_a_worker_that_has_ended_is_a_problem(database: Database) -> None:
    lease = rows.running(database)
    act(database, stop_worker, lease.worker_id)
    ((detail, (level, remedy)),) = jobs(database).items()
    assert at_once(detail) == f"job {lease.job_id} runs under worker here:cpu, which ended 0s ago"
    assert (level, remedy) == (Level.PROBLEM, "a running scheduler takes it back: pixmill scheduler run")


def test_failures_of_a_day_are_counted_by_reason(database: Database) -> None:
    lease = rows.running(database)
    act(database, finish, lease, Outcome.FAILED, reason=FailureReason.OUT_OF_MEMORY, message="no")
    assert jobs(database) == {
        "1 job failed within a day: 1 OOM": (Level.WARNING, "pixmill ps --all --state failed"),
    }


def test_jobs_that_wait_for_what_never_comes_are_named(database: Database) -> None:
    lease = rows.running(database)
    child = rows.add(database, parents={lease.job_id: False})
    held = rows.add(database)
    behind = [rows.add(database, parents={held: True}) for _ in range(7)]
    act(database, hold_job, held, actor="ann")
    act(database, finish, lease, Outcome.FAILED, reason=FailureReason.USER_ERROR, message="no")
    rows.add(database, device_kind=DeviceKind.CUDA)
    rows.add(database, devices=2)
    found = jobs(database)
    doomed = f"job {child} waits for jobs that have failed or were cancelled, such as job {lease.job_id}"
    assert found[doomed] == (Level.PROBLEM, f"pixmill job retry {lease.job_id}, or pixmill cancel {child}")
    names = ", ".join(map(str, behind[:5]))
    waits = f"jobs {names} and 2 more wait for jobs that are held, such as job {held}"
    assert found[waits] == (Level.WARNING, f"pixmill job release {held}")
    assert "1 task can run on cuda alone, and no cuda worker runs" in found
    many = found["1 task can run on 2 devices alone, and no worker owns so many"]
    assert many == (Level.PROBLEM, "on a host that has them: pixmill worker start --device cuda:0-1")


def test_a_paused_queue_is_told_while_something_waits_in_it(database: Database) -> None:
    rows.add(database, queue="bulk")
    act(database, pause_queue, "bulk", actor="ann", why="new driver")
    assert jobs(database) == {
        "bulk is paused (new driver), 1 task waits": (Level.WARNING, "pixmill queue resume bulk"),
    }


def test_a_queue_at_its_limit_is_told_and_no_fault(database: Database) -> None:
    rows.running(database)
    rows.add(database)
    act(database, set_queue, "default", actor="ann", max_running=1)
    with database.read() as session:
        found = list(examine_jobs(session, read_fleet(session, 30.0), database_time(session)))
    assert wrong(found) == {}
    assert found[-1].detail == "default is at its limit of 1 running, 1 task waits"

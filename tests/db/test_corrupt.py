"""What reads many rows leaves out those that nobody can read; their jobs fail, and workers go on with the others."""

import logging
import threading
from typing import Any

import pytest
from sqlalchemy import select, text, update

from db.corrupt import CorruptRows
from db.corruptjobs import fail_noted
from db.engine import Database
from db.tables.jobs import Job, Role, Task
from pixmill.errors import CorruptRow, DatabaseUnreachable
from pixmill.states import State
from tests import rows
from tests.db.test_notifications import notifications
from worker.parent.holding import Holding
from worker.parent.stubborn import Stubborn


def spoil(database: Database, job_id: int, column: str, value: Any) -> None:
    """Write other JSON than is meant for there."""
    table, key = (Job, Job.id) if hasattr(Job, column) else (Task, Task.job_id)
    with database.write() as session:
        session.execute(update(table).where(key == job_id).values({column: value}))


def holding(database: Database) -> Holding:
    worker = rows.add_worker(database)
    stubborn = Stubborn(database, threading.Event(), 1.0, lambda _seconds: None)
    return Holding(database, worker, stubborn, lambda: False)


@pytest.mark.parametrize(("column", "value"), [("spec", ["a list"]), ("spec", None), ("params", [1])])
def test_a_worker_passes_over_what_nobody_can_read(
    database: Database, column: str, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """However many of them stand before the others."""
    bad, good = [rows.add(database) for _ in range(7)], rows.add(database)
    for job_id in bad:
        spoil(database, job_id, column, value)
    lease = holding(database).take_up(None)
    assert lease is not None
    assert lease.job_id == good
    with database.read() as session:
        found = session.execute(select(Job.state, Job.reason, Job.message).where(Job.id.in_(bad))).all()
        states = session.scalars(select(Task.state).where(Task.job_id.in_(bad))).all()
    assert {(state, reason) for state, reason, _message in found} == {(State.FAILED, "CorruptRow")}
    assert all(f"{column})" in message for _state, _reason, message in found if message)
    assert states == [State.FAILED] * len(bad)
    lines = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(lines) == len(bad)
    assert [row.kind for row in notifications(database)] == ["job.failed"] * len(bad)


def test_a_handful_is_claimed_without_them(database: Database) -> None:
    bad, good = rows.add(database), [rows.add(database) for _ in range(2)]
    spoil(database, bad, "spec", [])
    held = holding(database)
    assert held.take_up(None) is not None
    spoilt = [rows.add(database, tasks=rows.ONE_TASK, priority=50) for _ in range(2)]
    for job_id in spoilt:
        spoil(database, job_id, "params", [])
    leases = database.transact(lambda session: held._claim_alike(session, Role.TRAIN))
    assert {lease.job_id for lease in leases} <= set(good)
    assert fail_noted(database) == 2


def test_a_job_that_has_ended_is_left_as_it_is(database: Database) -> None:
    lease = rows.running(database)
    database.corrupt_rows.note_job(lease.job_id, "job 1", CorruptRow("it is broken"))
    assert fail_noted(database) == 1
    assert fail_noted(database) == 0
    job = rows.job(database, lease.job_id)
    assert (job.state, job.message) == (State.FAILED, "job 1 cannot be read: it is broken")
    database.corrupt_rows.note_job(lease.job_id, "job 1", CorruptRow("and this too"))
    fail_noted(database)
    assert rows.job(database, lease.job_id).message == job.message


@pytest.mark.parametrize("error", [ValueError, KeyError, DatabaseUnreachable, AssertionError])
def test_no_other_error_is_taken(error: type[Exception]) -> None:
    with pytest.raises(error), CorruptRows().spared("a row"):
        raise error("not this one")


def test_each_row_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    known = CorruptRows()
    for row in ("schedule 1", "schedule 2", "schedule 1"):
        with known.spared(row):
            raise CorruptRow("it is broken")
    assert [record.message for record in caplog.records] == ["schedule 1 cannot be read", "schedule 2 cannot be read"]


def test_what_a_driver_cannot_hand_over_is_no_outage(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Letters that are no UTF-8 are marked on SQLite; a time beyond Python's is its row's fault on PostgreSQL."""
    job_id, other = rows.add(database), rows.add(database)
    broken = "name = CAST(x'61ff' AS TEXT)" if database.is_sqlite else "begin_at = 'infinity'"
    with database.write() as session:
        session.execute(text(f"UPDATE jobs SET {broken} WHERE id = {job_id}"))
    names = {job_id: "a\ufffd", other: "line"} if database.is_sqlite else {job_id: "line", other: "line"}
    for _ in range(2):
        found = database.consult(lambda session: session.execute(select(Job.id, Job.name, Job.queue)).all())
        assert {row.id: row.name for row in found} == names
    if not database.is_sqlite:
        with pytest.raises(CorruptRow, match="infinity"):
            database.consult(lambda session: session.execute(select(Job.begin_at)).all())
        return
    (line,) = caplog.records
    assert "Could not decode to UTF-8 column 'name'" in line.__dict__["reason"]

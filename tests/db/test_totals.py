"""Every end counts once, however many keep the book, whoever commits late, and whatever becomes of the rows."""

from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from db.control import cancel_job, retry_job
from db.dispatch import expire_lease, sight_running
from db.engine import Database
from db.leases import Lease, finish, give_back
from db.notifications import GIVEN_UP
from db.tables.jobs import Event, Job, Outcome, Role
from db.totals import BATCH, SOURCES, count_up_to, horizon, is_complete, is_settled, read_totals
from pixmill.states import FailureReason
from scheduler.bookkeeper import Bookkeeper
from tests import rows
from tests.databases import somebody_waits
from tests.rows import act

EVENTS = SOURCES[0]


def totals(database: Database) -> dict[tuple[str, ...], int]:
    """Name and values of the labels → count."""
    with database.read() as session:
        found = read_totals(session)
    return {(name, *each.labels.values()): each.value for name, sums in found.items() for each in sums}


def keep(database: Database, *, keeper: Bookkeeper | None = None) -> dict[tuple[str, ...], int]:
    """Count all that there is: what PostgreSQL shows first is counted at the second look."""
    keeper = keeper or Bookkeeper(database)
    keeper.count()
    keeper.count()
    return totals(database)


def claimed(database: Database, **changes: Any) -> Lease:
    return rows.running(database, **changes)


def test_ends_are_counted_once_by_kind_reason_and_outcome(database: Database) -> None:
    with database.read() as session:
        assert not is_complete(session)
    act(database, finish, claimed(database), Outcome.SUCCEEDED)
    act(database, finish, claimed(database), Outcome.FAILED, reason=FailureReason.OUT_OF_MEMORY)
    act(database, give_back, claimed(database, kind="ping"))
    rows.queue(database)
    lost = rows.claimed(database, rows.add_worker(database))
    with database.read() as session:
        seen = sight_running(session)[lost.task_id]
    act(database, expire_lease, lost.task_id, seen, max_lost_leases=9)
    act(database, cancel_job, lost.job_id, actor="ann")
    found = keep(database)
    assert found == keep(database), "what is counted is counted"
    assert {name: count for name, count in found.items() if name[0] not in ("counted_to", "complete")} == {
        ("jobs_submitted", "train"): 2,
        ("jobs_submitted", "ping"): 1,
        ("jobs_ended", "train", "", "succeeded"): 1,
        ("jobs_ended", "train", "OOM", "failed"): 1,
        ("jobs_ended", "ping", "", "cancelled"): 1,
        ("attempts_started", "train"): 4,
        ("attempts_ended", "succeeded", "train"): 1,
        ("attempts_ended", "failed", "train"): 1,
        ("attempts_ended", "preempted", "train"): 1,
        ("attempts_ended", "lost", "train"): 1,
    }
    with database.read() as session:
        assert is_complete(session)


def test_images_count_when_their_task_succeeds_and_a_retried_job_ends_again(database: Database) -> None:
    lease = claimed(database, kind="generate", tasks=rows.TWO_TASKS)
    act(database, finish, lease, Outcome.SUCCEEDED, done=70)
    second = rows.claimed(database, rows.add_worker(database))
    act(database, finish, second, Outcome.FAILED, done=5, reason=FailureReason.USER_ERROR)
    keeper = Bookkeeper(database)
    keep(database, keeper=keeper)
    act(database, retry_job, lease.job_id, actor="ann")
    rows.queue(database)
    act(database, finish, rows.claimed(database, rows.add_worker(database)), Outcome.SUCCEEDED, done=30)
    found = keep(database, keeper=keeper)
    assert found["images_written", Role.GENERATE.value] == 100
    assert found["jobs_ended", "generate", "UserError", "failed"] == 1
    assert found["jobs_ended", "generate", "", "succeeded"] == 1


def test_counts_outlive_the_rows(database: Database) -> None:
    first = claimed(database)
    act(database, finish, first, Outcome.SUCCEEDED)
    second = claimed(database)
    before = keep(database)
    with database.write() as session:
        session.execute(delete(Job).where(Job.id == first.job_id))
    act(database, finish, second, Outcome.SUCCEEDED)
    after = keep(database)
    assert all(after[name] >= count for name, count in before.items())
    assert after["jobs_ended", "train", "", "succeeded"] == 2


def test_many_bookkeepers_count_each_event_once(database: Database) -> None:
    with database.write() as session:
        session.execute(insert(Event), [{"actor": "x", "action": GIVEN_UP}] * (BATCH + 100))
    with database.read() as session:
        seen = horizon(session, EVENTS)
    counted = rows.run_all(*[lambda: count_up_to(database, EVENTS, seen)] * 4)
    assert sum(counted) == BATCH + 100
    assert totals(database)["notifications_given_up",] == BATCH + 100


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_what_commits_late_is_waited_for(database: Database) -> None:
    keeper = Bookkeeper(database)
    with database.write() as slow:
        slow.execute(insert(Event).values(actor="x", action=GIVEN_UP))
        with database.write() as quick:
            quick.execute(insert(Event).values(actor="x", action=GIVEN_UP))
        assert keeper.count() == keeper.count() == 0
        with database.read() as session:
            assert not is_settled(session, horizon(session, EVENTS))
    assert keep(database, keeper=keeper)["notifications_given_up",] == 2
    assert not somebody_waits(database)


def test_a_count_that_somebody_else_wrote_is_not_written_again(database: Database) -> None:
    first, second = Bookkeeper(database), Bookkeeper(database)
    act(database, finish, claimed(database), Outcome.SUCCEEDED)
    for keeper in (first, second, first, second):
        keeper.count()
    assert totals(database)["jobs_ended", "train", "", "succeeded"] == 1
    with database.read() as session:
        assert (
            session.scalar(select(Event.id).order_by(Event.id.desc()).limit(1))
            == totals(database)["counted_to", "events"]
        )

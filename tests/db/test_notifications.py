"""What operators are told of becomes a row in the same transaction, and each row is sent by one sender."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.aliases import Deed, freeze, promote, roll_back, unfreeze
from db.control import cancel_job, retry_job
from db.dispatch import fail_doomed_jobs, forget_worker
from db.engine import Database
from db.leases import finish
from db.notifications import (
    GIVEN_UP,
    claim_next,
    earliest_try,
    give_up,
    list_notifications,
    mark_sent,
    prune,
    retry_notification,
    skip,
    tally,
    try_again,
)
from db.tables.fleet import Worker
from db.tables.jobs import Event, Outcome
from db.tables.told import Notification
from db.telling import LONGEST_TEXT, tell
from db.workers import beat_worker, stop_worker
from pixmill.errors import Conflict, NotFound
from pixmill.notifications import KINDS, NotificationState, told
from pixmill.settings import Settings
from pixmill.states import FailureReason
from tests import rows
from tests.rows import act
from tests.scheduler.desk import Desk

DEED = Deed(actor="ann", reason="tried")
HOLD = 30.0


def notifications(database: Database) -> list[Notification]:
    """The oldest first."""
    with database.read() as session:
        return list(session.scalars(select(Notification).order_by(Notification.id)))


def lines(database: Database) -> list[str]:
    return [f"{row.kind} | {told(row.kind, row.subject, row.facts, row.count)}" for row in notifications(database)]


def add(database: Database, count: int = 1) -> None:
    for number in range(count):
        act(database, tell, "job.failed", f"job {number}", {"job_id": number, "name": "night"})


def claimed(database: Database, hold: float = HOLD) -> Any:
    found = act(database, claim_next, hold)
    assert found is not None
    return found


def pass_time(database: Database, seconds: float) -> None:
    """All but the body, which tells when it happened, is so much older."""
    ago = timedelta(seconds=seconds)
    with database.write() as session:
        for row in session.scalars(select(Notification)):
            row.next_try_at, row.wanted_at = row.next_try_at - ago, row.wanted_at - ago
            row.ended_at = row.ended_at and row.ended_at - ago


def test_a_job_that_failed_for_good_is_told_of_and_no_other(database: Database) -> None:
    lease = rows.running(database, name="night")

    def fail_in_vain(session: Session) -> None:
        finish(session, lease, Outcome.FAILED, reason=FailureReason.OUT_OF_MEMORY, message="16 GiB")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.transact(fail_in_vain)
    assert lines(database) == []
    act(database, finish, lease, Outcome.FAILED, reason=FailureReason.OUT_OF_MEMORY, message="16 GiB\nare few")
    act(database, finish, rows.running(database), Outcome.SUCCEEDED)
    cancelled = rows.add(database)
    act(database, cancel_job, cancelled, actor="ann")
    doomed = rows.add(database, parents={lease.job_id: False}, name="next")
    act(database, fail_doomed_jobs)
    assert lines(database) == [
        f"job.failed | job {lease.job_id} (night) failed: OOM: 16 GiB are few",
        f"job.never_ran | job {doomed} (next) never can run: job {lease.job_id}, which it waits for, did not succeed",
    ]
    facts = notifications(database)[0].facts
    assert (facts["kind"], facts["queue"], facts["user_name"]) == ("train", "default", "ann")
    assert datetime.fromisoformat(facts["finished_at"]).tzinfo is not None


def test_an_attempt_that_is_tried_again_is_not_told_of_and_a_second_failure_is(database: Database) -> None:
    lease = rows.running(database, retries=1, retry_seconds=0.0)
    act(database, finish, lease, Outcome.FAILED, reason=FailureReason.ERROR, message="a hiccup")
    assert lines(database) == []
    for failures in (1, 2):
        rows.queue(database)
        again = rows.claimed(database, rows.add_worker(database))
        act(database, finish, again, Outcome.FAILED, reason=FailureReason.USER_ERROR, message="no such class")
        assert len(lines(database)) == failures
        if failures == 1:
            act(database, retry_job, lease.job_id, actor="ann")
    assert len({row.token for row in notifications(database)}) == 2


def test_moves_of_aliases_and_freezes_are_told_of_once_each(database: Database, settings: Settings) -> None:
    desk = Desk(database, settings)
    desk.trained()
    desk.trained()
    act(database, promote, "digits@1", "champion", DEED)
    act(database, promote, "digits@1", "champion", DEED)  # it was so before
    act(database, promote, "digits@2", "champion", Deed(actor="bob"), expect=1)
    act(database, roll_back, "digits", DEED)
    act(database, freeze, "digits", DEED)
    with pytest.raises(Conflict):
        act(database, promote, "digits@2", "champion", DEED)
    act(database, unfreeze, "digits", Deed(actor="bob"))
    assert lines(database) == [
        "model.promote | digits: champion is 1, was –; by ann: tried",
        "model.promote | digits: champion is 2, was 1; by bob",
        "model.rollback | digits: champion is 1 again, was 2; by ann: tried",
        "model.freeze | digits is frozen by ann: tried",
        "model.unfreeze | digits may be promoted again, by bob",
    ]


def test_a_silent_worker_is_told_of_once_and_one_that_beats_or_ended_in_order_never(database: Database) -> None:
    silent, beating, ended = (rows.add_worker(database, host=host) for host in ("silent", "beating", "ended"))
    act(database, beat_worker, beating.id)
    act(database, stop_worker, ended.id)
    found = [act(database, forget_worker, worker.id, 0) for worker in (silent, silent, beating, ended)]
    assert found == [True, False, False, False]
    (line,) = lines(database)
    assert line.startswith("worker.silent | worker silent:cpu went silent; it was seen last at 2")
    with database.read() as session:
        assert session.get_one(Worker, beating.id).stopped_at is None


def test_many_of_a_subject_are_gathered_until_the_first_is_sent(database: Database) -> None:
    for number in range(3):
        act(database, tell, "schedule.missed", "schedule a", {"schedule": "a", "scheduled_for": f"{number} o'clock"})
    act(database, tell, "schedule.missed", "schedule b", {"schedule": "b", "scheduled_for": "noon"})
    assert [(row.subject, row.count, row.facts["scheduled_for"]) for row in notifications(database)] == [
        ("schedule a", 3, "2 o'clock"),
        ("schedule b", 1, "noon"),
    ]
    assert lines(database)[0].endswith("schedule a missed its time 2 o'clock (3 times)")
    assert act(database, claim_next, HOLD) is None, "more may come"
    pass_time(database, KINDS["schedule.missed"].gather_seconds + 1)
    assert claimed(database).count == 3
    act(database, tell, "schedule.missed", "schedule a", {"schedule": "a"})
    assert [row.count for row in notifications(database)] == [3, 1, 1]


def test_what_is_told_is_small(database: Database) -> None:
    act(database, tell, "job.failed", "x" * 500, {"message": "y" * 100_000, "at": datetime(2026, 1, 1, tzinfo=UTC)})
    (row,) = notifications(database)
    assert (len(row.subject), len(row.facts["message"])) == (200, LONGEST_TEXT)
    assert row.facts["at"] == "2026-01-01T00:00:00.000Z"


def test_of_many_senders_each_row_is_claimed_by_one(database: Database) -> None:
    add(database, 12)

    def take_all(_number: int) -> list[int]:
        return list(iter(lambda: getattr(act(database, claim_next, HOLD), "id", None), None))

    with ThreadPoolExecutor(4) as pool:
        found = [each for ids in pool.map(take_all, range(4)) for each in ids]
    while (left := act(database, claim_next, HOLD)) is not None:  # one that two had wanted
        found.append(left.id)
    assert sorted(found) == list(range(1, 13))


def test_a_claim_that_nobody_settled_is_due_again_and_its_holder_has_no_say_any_more(database: Database) -> None:
    add(database)
    first = claimed(database)
    assert act(database, claim_next, HOLD) is None
    pass_time(database, HOLD + 1)
    second = claimed(database)
    assert (second.token, second.tries) == (first.token, 2)
    assert act(database, mark_sent, first, 200) is False
    assert act(database, try_again, first, None, "late", 1.0) is False
    assert act(database, give_up, first, None, "late") is False
    assert act(database, skip, first, "late") is False
    assert act(database, mark_sent, second, 204) is True
    assert act(database, mark_sent, second, 204) is False
    (row,) = notifications(database)
    assert (row.state, row.status, row.tries) == (NotificationState.SENT, 204, 2)


def test_one_that_was_given_up_leaves_an_event_and_can_be_retried_with_all_its_tries(database: Database) -> None:
    add(database, 2)
    act(database, try_again, claimed(database), 500, "it answers 500", 60.0)
    act(database, give_up, claimed(database), None, "no answer")
    with database.read() as session:
        numbers = tally(session)
        (event,) = session.scalars(select(Event).where(Event.action == GIVEN_UP))
        assert [row.id for row in list_notifications(session, state=NotificationState.FAILED, limit=5)] == [2]
    assert (numbers.waiting, numbers.tried, numbers.failed, numbers.failed_lately, numbers.undelivered) == (
        1,
        1,
        1,
        1,
        2,
    )
    assert event.detail == "notification 2, job.failed of job 1: no answer"
    act(database, retry_notification, 2, actor="ann")
    again = claimed(database)
    assert (again.id, again.tries, again.excused_tries) == (2, 2, 1)
    act(database, mark_sent, again, 200)
    with pytest.raises(Conflict, match="notification 2 was sent"):
        act(database, retry_notification, 2, actor="ann")
    with pytest.raises(NotFound):
        act(database, retry_notification, 3, actor="ann")
    pass_time(database, 90_000)
    with database.read() as session:
        assert tally(session).failed_lately == 0


def test_old_rows_go_and_young_ones_stay(database: Database) -> None:
    add(database, 5)
    pass_time(database, 1000)
    add(database, 1)
    assert [act(database, prune, 500.0, 3) for _ in range(3)] == [3, 2, 0]
    assert [row.id for row in notifications(database)] == [6]


def test_when_the_next_try_is_due_is_read_with_the_clock(database: Database) -> None:
    with database.read() as session:
        assert earliest_try(session)[1] is None
    add(database)
    act(database, _move, timedelta(hours=1))
    with database.read() as session:
        at, due = earliest_try(session)
    assert due is not None
    assert 3500 < (due - at).total_seconds() <= 3600


def _move(session: Session, by: timedelta) -> None:
    row = session.get_one(Notification, 1)
    session.execute(update(Notification).values(next_try_at=row.next_try_at + by))

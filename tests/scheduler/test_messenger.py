"""The scheduler's messenger, with a real receiver that answers, fails, hangs up or says nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db.engine import Database, open_database
from db.notifications import Claimed
from db.tables.jobs import Event
from db.tables.told import Notification
from db.telling import tell
from pixmill.notifications import NotificationState
from pixmill.settings import load_settings
from scheduler.messenger import HELD_TRIES, JITTER, LONGEST_PAUSE, LOOK_SECONDS, PRUNE_SECONDS, Messenger, pause_before
from scheduler.schedules import Planner
from tests.db.test_notifications import add, notifications, pass_time
from tests.receiver import Receiver, answer, drop, hang, receiving
from tests.rows import act
from tests.scheduler.nights import Nights
from tests.servers import Valkey
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
SENT, FAILED, WAITING, SKIPPED = (NotificationState(name) for name in ("sent", "failed", "waiting", "skipped"))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def messenger(database: Database, receiver: Receiver | None, **settings: Any) -> Messenger:
    """It may try again at once, unless it is told otherwise."""
    chosen = {"retry_seconds": 1e-6, "url": receiver.url if receiver else None, "allow_private": True} | settings
    flags = {f"notify.{key}": value for key, value in chosen.items() if value is not None}
    return Messenger(database, load_settings(flags=flags).notify)


def states(database: Database) -> list[NotificationState]:
    return [row.state for row in notifications(database)]


def test_a_receiver_that_answers_500_gets_the_same_again(database: Database, receiver: Receiver) -> None:
    receiver.will(answer(500, b"out of paper"), drop)
    add(database)
    tries = []
    for _ in range(4):
        messenger(database, receiver, retry_seconds=30.0).send_due()
        (row,) = notifications(database)
        tries.append((row.tries, row.status, row.error))
        pass_time(database, 100.0)
    assert tries == [
        (1, 500, "it answers 500 Internal Server Error: out of paper"),
        (2, None, "RemoteDisconnected: Remote end closed connection without response"),
        (3, 200, None),
        (3, 200, None),
    ]
    assert len({(request.body, request.headers["webhook-id"]) for request in receiver.got}) == 1
    assert receiver.ids == [notifications(database)[0].token] * 3


def test_it_is_given_up_after_its_tries(database: Database, receiver: Receiver) -> None:
    receiver.usual = answer(400, b"what?")
    add(database, 2)
    sender = messenger(database, receiver, max_tries=2)
    wait_until(lambda: sender.send_due() == 0 and states(database) == [FAILED, FAILED])
    assert [row.tries for row in notifications(database)] == [2, 2]
    with database.read() as session:
        events = session.scalars(select(Event.detail).where(Event.action == "give_up_notification")).all()
    assert min(str(each) for each in events) == "notification 1, job.failed of job 0: it answers 400 Bad Request: what?"


def test_who_says_nothing_is_left_alone_and_what_else_is_due_loses_no_try(
    database: Database, receiver: Receiver
) -> None:
    receiver.usual = hang
    add(database, 3)
    sender = messenger(database, receiver, timeout_seconds=0.05, retry_seconds=30.0)
    assert sender.send_due() == sender.send_due() == 0
    assert [(row.tries, row.error) for row in notifications(database)] == [
        (1, "no answer within 0.05 seconds"),
        (0, None),
        (0, None),
    ]
    due = notifications(database)[0].next_try_at - notifications(database)[1].next_try_at
    assert timedelta(seconds=30 * (1 - JITTER)) < due < timedelta(seconds=30 * (1 + JITTER) + 5)
    assert sender.pause() == LOOK_SECONDS


def test_two_at_once_send_each_once(database: Database, receiver: Receiver) -> None:
    add(database, 12)
    both = [messenger(database, receiver) for _ in range(2)]

    def send_all(sender: Messenger) -> int:
        return sum(iter(sender.send_due, 0))

    with ThreadPoolExecutor(2) as pool:
        sent = sum(pool.map(send_all, both))
    sent += send_all(both[0])  # one may have seen that the other was faster, and gone home
    assert sent == 12
    assert sorted(receiver.ids) == sorted(row.token for row in notifications(database))


def test_what_nobody_asked_for_or_is_too_old_is_not_sent(database: Database, receiver: Receiver) -> None:
    add(database, 2)
    receiver.will(answer(400))
    messenger(database, receiver, max_tries=5, retry_seconds=1.0).send_due()
    assert states(database) == [WAITING, SENT]
    add(database)
    pass_time(database, 200.0)
    act(database, tell, "job.never_ran", "job 9", {})
    messenger(database, receiver, give_up_seconds=100.0).send_due()
    # The first was tried once more, late as it was.
    assert states(database) == [SENT, SENT, SKIPPED, SKIPPED]
    assert [row.error for row in notifications(database)[2:]] == [
        "it was too old when it could first be sent",
        "not among notify.events",
    ]
    add(database)
    receiver.usual = answer(400)
    messenger(database, receiver, give_up_seconds=100.0, retry_seconds=1.0).send_due()
    pass_time(database, 200.0)
    messenger(database, receiver, give_up_seconds=100.0).send_due()
    assert states(database)[-1] is FAILED, "a day is over"


def test_without_a_webhook_it_only_removes_what_is_old(database: Database) -> None:
    add(database, 2)
    pass_time(database, 90_000.0)
    add(database)
    silent = messenger(database, None, keep_days=0.5)
    silent.prune()
    assert silent.send_due() == 0
    assert [(row.id, row.tries) for row in notifications(database)] == [(3, 0)], "a day is kept in any case"


def test_a_secret_that_cannot_be_read_is_a_try_that_failed(
    database: Database, receiver: Receiver, tmp_path: Path
) -> None:
    add(database)
    messenger(database, receiver, secret_file=tmp_path / "none", retry_seconds=60.0).send_due()
    assert "secret_file" in (notifications(database)[0].error or "")
    assert receiver.got == []


def test_a_schedule_that_missed_many_times_is_told_of_once(database: Database, receiver: Receiver) -> None:
    nights = Nights(database, "2026-11-01T12:00+00:00")
    nights.add("0 * * * *")
    nights.sleep_until("2026-11-03T12:30+00:00")
    Planner(database, lambda _session: nights.at, outputs=None).start_due()
    pass_time(database, 11.0)
    assert messenger(database, receiver).send_due() == 1
    (row,) = notifications(database)
    assert (row.kind, row.count) == ("schedule.missed", 36)


def test_pauses_double_up_to_hours_and_differ_a_little() -> None:
    def pauses(token: str) -> list[float]:
        claims = (Claimed(1, token, "k", "s", {}, 1, tries, 2, None, None, None) for tries in range(3, 20))  # type: ignore[arg-type]
        return [pause_before(each, 30.0) for each in claims]

    found = pauses("a")
    assert found == pauses("a") != pauses("b")
    for number, pause in enumerate(found):
        plain = min(LONGEST_PAUSE, 30.0 * 2**number)
        assert plain * (1 - JITTER) <= pause <= plain * (1 + JITTER)


def test_its_thread_sends_what_is_due_and_is_left_behind_where_it_hangs(database: Database, receiver: Receiver) -> None:
    sender = messenger(database, receiver)
    receiver.will(answer(200), hang)
    add(database, 2)
    sender.start()
    receiver.arrival()
    receiver.arrival()
    assert not sender.stop(), "the end of a scheduler does not wait for who says nothing"
    assert states(database) == [SENT, WAITING]
    receiver.closing.set()
    wait_until(sender.stop)


def test_a_scheduler_killed_between_send_and_mark_sends_again_with_the_same_id(
    sqlite_url: str, own_valkey: Valkey, receiver: Receiver, tmp_path: Path
) -> None:
    database = open_database(load_settings(flags={"home": tmp_path, "database.url": sqlite_url}))
    hold = HELD_TRIES * 20.0
    receiver.will(hang)
    add(database)
    variables = {
        "PIXMILL_HOME": str(tmp_path / "home"),
        "PIXMILL_DATABASE_URL": sqlite_url,
        "PIXMILL_BROKER_URL": own_valkey.url,
        "PIXMILL_NOTIFY_URL": receiver.url,
        "PIXMILL_NOTIFY_ALLOW_PRIVATE": "true",
        "PIXMILL_NOTIFY_TIMEOUT_SECONDS": "20",
    }
    command = [sys.executable, "-m", "cli", "scheduler", "run"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdout=log, stderr=log)
    try:
        first = receiver.arrival()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    other = messenger(database, receiver)
    assert other.send_due() == 0, "nobody knows yet that it is dead"
    pass_time(database, hold + 1)
    assert other.send_due() == 1
    second = receiver.arrival()
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    (row,) = notifications(database)
    assert (row.state, row.tries, row.token) == (SENT, 2, first.headers["webhook-id"])
    assert receiver.url.rpartition("?")[2] not in (tmp_path / "log").read_text()
    database.dispose()


def test_the_row_has_the_columns_that_a_message_needs() -> None:
    assert set(Claimed.__dataclass_fields__) - {"claimed_at"} <= set(Notification.__table__.columns.keys())


def test_without_a_receiver_what_waits_is_looked_at_no_more_often(database: Database) -> None:
    nobody = messenger(database, None)
    assert nobody.pause() == PRUNE_SECONDS
    add(database)
    pass_time(database, 100.0)
    assert nobody.send_due() == 0
    assert (nobody.pause(), states(database)) == (PRUNE_SECONDS, [WAITING])

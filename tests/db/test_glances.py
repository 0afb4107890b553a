"""What is read for whoever looks at everything at once."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from db.aliases import model_events
from db.engine import Database, open_database
from db.glances import job_counts, last_events, measured_of, stays_since
from db.leases import finish
from db.tables.jobs import Attempt, Outcome
from db.workers import database_time
from pixmill.errors import DatabaseUnreachable
from pixmill.settings import Settings
from pixmill.states import State
from tests import rows
from tests.rows import act


def test_jobs_are_counted_and_the_last_events_come_first(database: Database) -> None:
    for name in ("one", "two", "three"):
        rows.add(database, name=name)
    worker = rows.add_worker(database)
    rows.queue(database)
    lease = rows.claimed(database, worker)
    act(database, finish, lease, Outcome.SUCCEEDED, publish=lambda _session: {})
    with database.read() as session:
        counts = job_counts(session)
        assert counts[State.SUCCEEDED] == 1
        assert sum(counts.values()) == 3
        events = last_events(session, 4)
        assert [event.id for event in events] == sorted((event.id for event in events), reverse=True)
        assert events[0].to_state == "succeeded"
        assert measured_of(session, 1) == []
        assert model_events(session, 1) == []


def test_attempts_of_a_span_of_time_and_all_that_run(database: Database) -> None:
    for name in ("old", "new", "long"):
        rows.add(database, name=name)
    worker = rows.add_worker(database)
    rows.queue(database)
    with database.read() as session:
        at = database_time(session)
    for outcome in (Outcome.SUCCEEDED, Outcome.SUCCEEDED, None):
        lease = rows.claimed(database, worker)
        if outcome is not None:
            act(database, finish, lease, outcome, publish=lambda _session: {})
    with database.write() as session:
        first, *_, last = session.scalars(select(Attempt).order_by(Attempt.id)).all()
        first.started_at, first.finished_at = at - timedelta(hours=30), at - timedelta(hours=29)
        last.started_at = at - timedelta(hours=40)
    with database.read() as session:
        stays = stays_since(session, at - timedelta(hours=24))
        assert [(stay.job_name, stay.outcome) for stay in stays] == [("long", None), ("new", Outcome.SUCCEEDED)]
        assert [stay.job_name for stay in stays_since(session, at - timedelta(hours=24), limit=0)] == ["long"]
        assert stays[0].host == "here"


def test_a_database_for_reading_takes_no_write(settings: Settings) -> None:
    database = open_database(settings, read_only=True)
    try:
        with database.read() as session:
            assert session.scalar(text("SELECT count(*) FROM jobs")) == 0
        with pytest.raises((DBAPIError, DatabaseUnreachable), match=r"read-?only"), database.write() as session:
            session.execute(text("DELETE FROM jobs"))
    finally:
        database.dispose()

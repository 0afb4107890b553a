"""Statements that go to the driver as they are: the same values, the same errors as by SQLAlchemy."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from db.engine import Database, open_database
from db.statements import fetch
from db.tables.jobs import Job, Queue, Task
from pixmill.errors import DatabaseUnreachable
from pixmill.settings import load_settings
from tests import rows

_jobs = Job.__table__
BY_ID = select(*_jobs.c).where(_jobs.c.id == bindparam("job_id"))


def test_it_reads_what_sqlalchemy_reads(database: Database) -> None:
    begin_at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    job_id = rows.add(database, labels={"a": "é"}, spec={"kind": "ping", "n": [1, None]}, begin_at=begin_at)
    for _ in range(7):  # more often than psycopg needs to prepare it on the server
        with database.read() as session:
            (found,) = fetch(session, BY_ID, {"job_id": job_id})
            expected = session.execute(BY_ID, {"job_id": job_id}).one()
        assert found._asdict() == expected._asdict()
        assert (type(found.state), found.labels) == (type(expected.state), {"a": "é"})


def test_what_is_written_takes_part_in_the_transaction(database: Database) -> None:
    add = insert(Queue).values(name=bindparam("name"))

    def add_and_fail(session: Session) -> None:
        fetch(session, add, {"name": "gone"})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.transact(add_and_fail)
    assert database.transact(lambda session: fetch(session, add, {"name": "stays"})) == []
    with database.read() as session:
        assert session.scalars(select(Queue.name).where(Queue.name.in_(["gone", "stays"]))).all() == ["stays"]


def test_a_session_that_goes_on_after_its_commit_is_served_by_its_next_connection(database: Database) -> None:
    job_id = rows.add(database)
    with Session(database.engine) as session:
        for _ in range(3):
            (found,) = fetch(session, BY_ID, {"job_id": job_id})
            assert found.id == job_id
            session.commit()


def test_an_error_is_that_of_sqlalchemy(database: Database) -> None:
    add = insert(Queue).values(name=bindparam("name"))
    database.transact(lambda session: fetch(session, add, {"name": "twice"}))
    with pytest.raises(IntegrityError):
        database.transact(lambda session: fetch(session, add, {"name": "twice"}))


def test_a_connection_that_was_cut_is_an_unreachable_database(postgres_url: str, tmp_path: Path) -> None:
    database = open_database(load_settings(flags={"home": tmp_path, "database.url": postgres_url}))
    job_id = rows.add(database)
    others = "datname = current_database() AND pid <> pg_backend_pid()"

    def be_cut(session: Session) -> None:
        fetch(session, BY_ID, {"job_id": job_id})
        with database.write() as other:
            other.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
        fetch(session, BY_ID, {"job_id": job_id})

    with pytest.raises(DatabaseUnreachable):
        database.transact(be_cut)
    assert len(database.consult(lambda session: fetch(session, BY_ID, {"job_id": job_id}))) == 1
    database.dispose()


def test_a_lock_that_is_not_had_in_time_is_told_in_sqlalchemys_words(postgres_url: str, tmp_path: Path) -> None:
    flags = {"home": tmp_path, "database.url": postgres_url}
    database = open_database(load_settings(flags=flags))
    hurried = open_database(load_settings(flags={**flags, "database.busy_timeout_seconds": 0.2}))
    job_id = rows.add(database)
    lock = select(_jobs.c.id).where(_jobs.c.id == bindparam("job_id")).with_for_update()
    with database.write() as session:
        fetch(session, lock, {"job_id": job_id})
        with pytest.raises(DatabaseUnreachable) as caught:
            hurried.transact(lambda other: fetch(other, lock, {"job_id": job_id}))
    assert isinstance(caught.value.__cause__, OperationalError)
    for each in (database, hurried):
        each.dispose()


def test_a_parameter_that_is_not_given_is_no_null(database: Database) -> None:
    with pytest.raises(KeyError, match="job_id"):
        database.consult(lambda session: fetch(session, BY_ID, {"job": 1}))


def test_a_statement_whose_text_depends_on_its_values_is_refused(database: Database) -> None:
    some = select(Task.__table__.c.id).where(Task.__table__.c.id.in_([1, 2]))
    with pytest.raises(AssertionError, match="depends on its values"):
        database.consult(lambda session: fetch(session, some, {}))

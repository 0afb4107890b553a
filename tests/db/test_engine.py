import threading
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.engine import Database, insert_absent, open_database
from db.tables.jobs import Job, Queue
from pixmill.errors import ConfigError, DatabaseUnreachable, PermissionDenied
from pixmill.settings import load_settings
from tests import rows
from tests.waiting import wait_until


def opened(tmp_path: Path, url: str) -> Database:
    return open_database(load_settings(flags={"home": tmp_path, "database.url": url}))


def count_queues(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Queue)) or 0


def test_a_write_is_kept_when_its_block_ends(database: Database) -> None:
    with database.write() as session:
        session.add(Queue(name="a"))
    assert count_queues(database) == 1


def test_nothing_of_a_write_is_kept_when_its_block_raises(database: Database) -> None:
    def add_and_break() -> None:
        with database.write() as session:
            session.execute(insert(Queue).values(name="a"))
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        add_and_break()
    assert count_queues(database) == 0


def test_a_read_sees_one_state_while_others_write(database: Database) -> None:
    with database.read() as session:
        before = session.scalar(select(func.count()).select_from(Queue))
        with database.write() as other:
            other.add(Queue(name="a"))
        assert session.scalar(select(func.count()).select_from(Queue)) == before
    assert count_queues(database) == 1


def test_a_row_that_is_there_is_not_inserted_again(database: Database) -> None:
    for reason in ("first", "second"):
        with database.write() as session:
            insert_absent(session, Queue, {"name": "a", "paused_reason": reason})
    with database.read() as session:
        assert session.get_one(Queue, "a").paused_reason == "first"


def test_many_threads_that_read_and_then_write_all_get_through(database: Database) -> None:
    job_id = rows.add(database)

    def read_and_write() -> None:
        for _ in range(5):
            with database.write() as session:
                job = session.get_one(Job, job_id, with_for_update=True)
                job.priority += 1

    assert rows.run_all(*[read_and_write] * 4) == [None] * 4
    assert rows.job(database, job_id).priority == 20


def test_a_deadlock_is_tried_again(database: Database) -> None:
    one, other = rows.add(database), rows.add(database)
    met = threading.Barrier(2)

    def cross(first: int, second: int) -> int:
        tries = 0

        def act(session: Session) -> None:
            nonlocal tries
            tries += 1
            raise_priority(session, first)
            if tries == 1 and not database.is_sqlite:  # SQLite lets only one in at a time
                met.wait(timeout=10)
            raise_priority(session, second)

        database.transact(act)
        return tries

    tries = rows.run_all(lambda: cross(one, other), lambda: cross(other, one))
    assert sum(tries) == (2 if database.is_sqlite else 3)
    assert [rows.job(database, job_id).priority for job_id in (one, other)] == [2, 2]


def raise_priority(session: Session, job_id: int) -> None:
    session.execute(update(Job).where(Job.id == job_id).values(priority=Job.priority + 1))


def test_any_other_database_error_is_not_tried_again(database: Database) -> None:
    tries = []

    def act(session: Session) -> None:
        tries.append(1)
        session.add(Queue(name="a"))
        session.flush()
        session.execute(insert(Queue).values(name="a"))

    with pytest.raises(IntegrityError):
        database.transact(act)
    assert len(tries) == 1


def test_a_locked_sqlite_file_is_waited_for_and_then_named(sqlite_url: str, tmp_path: Path) -> None:
    flags = {"home": tmp_path, "database.url": sqlite_url, "database.busy_timeout_seconds": 0.2}
    database = open_database(load_settings(flags=flags))
    with database.write() as first:
        first.execute(text("SELECT 1"))
        with pytest.raises(DatabaseUnreachable, match="locked"):
            database.transact(lambda session: session.execute(text("SELECT 1")))
    database.dispose()


def test_a_transaction_that_stands_still_does_not_hold_its_locks_for_ever(postgres_url: str, tmp_path: Path) -> None:
    flags = {"home": tmp_path, "database.url": postgres_url, "database.busy_timeout_seconds": 0.3}
    frozen, living = open_database(load_settings(flags=flags)), open_database(load_settings(flags=flags))
    living.transact(lambda session: session.add(Queue(name="default")))
    rename = update(Queue).values(paused_reason="renamed")

    def is_through() -> bool:
        try:
            living.transact(lambda session: session.execute(rename))
        except DatabaseUnreachable:
            return False  # the lock was waited for in vain, so far
        return True

    def stand_still() -> None:
        with frozen.write() as session:
            session.execute(rename)
            wait_until(is_through)
            session.execute(rename)

    with pytest.raises(DatabaseUnreachable):
        stand_still()
    frozen.dispose()
    living.dispose()


def test_foreign_keys_hold_on_both(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(text("INSERT INTO task_dependencies (task_id, parent_id) VALUES (998, 999)"))


@pytest.mark.parametrize("content", [b"this is no database, but long enough to be read as one" * 100])
def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.db").write_bytes(content)
    database = opened(tmp_path, f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(DatabaseUnreachable, match="file is not a database"), database.read() as session:
        session.execute(text("SELECT 1"))
    database.dispose()


def test_a_postgresql_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    database = opened(tmp_path, "postgresql://ann:hunter2@127.0.0.1:9/pixmill")
    with pytest.raises(DatabaseUnreachable, match=r"127\.0\.0\.1") as caught, database.read() as session:
        session.execute(text("SELECT 1"))
    assert "hunter2" not in f"{caught.value}{caught.value.hint}"
    database.dispose()


def test_a_connection_that_the_server_cut_is_unreachable_and_then_replaced(postgres_url: str, tmp_path: Path) -> None:
    database = opened(tmp_path, postgres_url)
    with pytest.raises(DatabaseUnreachable), database.read() as session:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert count_queues(database) == 0
    database.dispose()


def test_a_connection_that_is_cut_amid_many_statements_is_told_of_once(
    postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = opened(tmp_path, postgres_url)
    cut = text("INSERT INTO queues (name) SELECT pg_terminate_backend(pg_backend_pid())::text WHERE :name <> ''")
    names = [{"name": f"{number:030}"} for number in range(20_000)]  # one pipeline: it is cut while they are sent
    with pytest.raises(DatabaseUnreachable), database.write() as session:
        session.execute(cut, names)
    assert caplog.records == []
    database.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://ann:hunter2@h/d", "pixmill knows sqlite and postgresql"),
        ("no url with hunter2", "is not a database URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///here.db", "relative path 'here.db'"),
    ],
)
def test_a_url_of_no_use_is_refused_without_repeating_its_password(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        opened(tmp_path, url)
    assert "hunter2" not in f"{caught.value}{caught.value.hint}"


def test_a_home_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PermissionDenied, match="cannot be made"):
        open_database(load_settings(flags={"home": tmp_path / "file" / "home"}))


@pytest.mark.parametrize("name", ["with space", "per%41cent", "hash#mark", "what?", "Größe"])
def test_a_home_of_any_name_holds_its_database(tmp_path: Path, name: str) -> None:
    database = open_database(load_settings(flags={"home": tmp_path / name}))
    with database.write() as session:
        session.execute(text("CREATE TABLE t (x INTEGER)"))
    database.dispose()
    assert (tmp_path / name / "pixmill.db").exists()


def test_sqlite_keeps_a_commit_through_a_power_cut(sqlite_url: str, tmp_path: Path) -> None:
    database = opened(tmp_path, sqlite_url)
    with database.read() as session:
        pragmas = [session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]
    database.dispose()


def test_a_database_whose_tables_are_yet_to_come_is_away(empty_database: Database) -> None:
    """As one that is being put back from a copy."""
    with pytest.raises(DatabaseUnreachable), empty_database.read() as session:
        session.scalars(select(Job.id)).all()

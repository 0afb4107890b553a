"""A world in which everything that a scheduler works off is there twice: once to be spoilt, and once to go on."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Enum, Float, Integer, String, event, text
from sqlalchemy.types import TypeDecorator

from db.engine import Database, open_database
from db.jobs import NewTask
from db.leases import finish
from db.queues import pause_queue
from db.tables.all import Table
from db.tables.jobs import Outcome, Queue, Role
from db.telling import tell
from db.types import UtcTime
from db.workers import stop_worker
from pixmill.settings import load_settings
from tests import rows
from tests.databases import administrate, as_application, copied_sqlite
from tests.scheduler.nights import Nights
from tests.scheduler.runs import Runs, pings

FREE = 9  # workers that wait for work
CHAINED = (NewTask(role=Role.ASSEMBLE, params={}, after=(0,)),)
WORD = "no ‡ word {0}"


@dataclass
class Pair:
    """The jobs, by what a round has to do with them."""

    jobs: dict[str, int] = field(default_factory=dict)
    run: int = 0
    schedule: str = ""
    subject: str = ""


@dataclass
class World:
    """Ids of what is spoilt, and of its like."""

    bad: Pair
    good: Pair
    spoilt: Mapping[str, str]  # table → which rows, as SQL


def build(database: Database) -> World:
    """Fill an empty database."""
    runs, nights = Runs(database), Nights(database, "2026-11-20T12:00+01:00")
    bad, good = Pair(schedule="bad", subject="job 1001"), Pair(schedule="good", subject="job 1002")
    for pair in (bad, good):
        rows.act(database, tell, "job.failed", pair.subject, {"job_id": 1, "name": "night"})
        pair.run = runs.begin(pings(one={}, two={"after": ["one"]}))
        nights.add("30 2 * * *", name=pair.schedule)
    runs.look()
    for pair in (bad, good):
        runs.end(pair.run, "one")
    with database.write() as session:
        session.add(Queue(name="shut"))
    for pair in (bad, good):
        # Claimed one after the other, before anything else waits.
        pair.jobs["running"] = rows.running(database, name="running").job_id
        parent = rows.running(database, name="parent")
        pair.jobs["doomed"] = rows.add(database, name="doomed", parents={parent.job_id: False})
        rows.act(database, finish, parent, Outcome.FAILED)
    for pair in (bad, good):
        pair.jobs["called"] = rows.add(database, name="called")
        pair.jobs["shut"] = rows.add(database, name="shut", queue="shut")
    rows.queue(database)
    rows.act(database, pause_queue, "shut", actor="ann", why=None)
    for pair in (bad, good):
        pair.jobs["plain"] = rows.add(database, name="plain")
        pair.jobs["chain"] = rows.add(database, name="chain", tasks=rows.CHAIN[1:2] + CHAINED)
        pair.jobs["array"] = rows.add_array(database, range(2), limit=1, name="array")[0]
    with database.read() as session:
        busy = "SELECT worker_id FROM tasks WHERE state = 'running'"
        idle = session.execute(text(f"SELECT id FROM workers WHERE id NOT IN ({busy})"))
        first = [row.id for row in idle]
    for worker_id in first:
        rows.act(database, stop_worker, worker_id)
    free = [rows.add_worker(database, host=f"host{number}") for number in range(FREE)]
    return World(bad, good, _spoilt(bad, free[0].id))


def _spoilt(bad: Pair, worker_id: int) -> Mapping[str, str]:
    jobs = ", ".join(map(str, bad.jobs.values()))
    return {
        "jobs": f"id IN ({jobs})",
        "tasks": f"job_id IN ({jobs})",
        "attempts": f"task_id IN (SELECT id FROM tasks WHERE job_id IN ({jobs}))",
        "events": f"job_id IN ({jobs})",
        "workers": f"id = {worker_id}",
        "devices": f"id = (SELECT device_id FROM workers WHERE id = {worker_id})",
        "arrays": f"id = {bad.jobs['array']}",
        "schedules": f"name = '{bad.schedule}'",
        "pipeline_runs": f"id = {bad.run}",
        "pipeline_steps": f"run_id = {bad.run}",
        "notifications": f"subject = '{bad.subject}'",
        "queues": "name = 'default'",
        "accounts": "queue = 'default'",
    }


@dataclass(frozen=True)
class Spoiling:
    """What is written into a column."""

    table: str
    column: str
    what: str  # in a word
    value: str  # SQL
    sort: str  # of the column

    @property
    def is_short(self) -> bool:
        """Whether it is tried by every run of the tests."""
        return self.sort == "word" or self.what in {"broken", "a list"}

    def __str__(self) -> str:
        return f"{self.table}.{self.column}: {self.what}"


def spoilings(*, sqlite: bool) -> list[Spoiling]:
    """All that is tried with all columns that are no keys."""
    found = []
    for table in Table.metadata.sorted_tables:
        for column in table.columns:
            if not column.primary_key and not column.foreign_keys:
                sort = sort_of(column.type)
                values = (_SQLITE if sqlite else _POSTGRESQL)[sort]
                found += [Spoiling(table.name, column.name, what, value, sort) for what, value in values.items()]
    return found


def sort_of(kind: Any) -> str:
    """Of the values of a column."""
    if isinstance(kind, UtcTime):
        return "time"
    if isinstance(kind, TypeDecorator):
        return "word" if isinstance(kind.impl, Enum) else "json"
    sorts = {String: "text", Integer: "number", Float: "number"}
    return next((sort for type_, sort in sorts.items() if isinstance(kind, type_)), "other")


_JSON = {"a list": "[1, {}]", "an object": '{"x": 1}', "null": "null"}
_SQLITE = {
    "json": {"broken": "'{'", **{what: f"'{value}'" for what, value in _JSON.items()}},
    "word": {"a strange word": f"'{WORD}'"},
    "time": {"before all": "'!'", "behind all": "'yesterday'"},
    "text": {"a strange text": f"'{WORD} ' || rowid", "no letters": "CAST(x'ff' AS TEXT) || rowid"},
    "number": {"a word": f"'{WORD}' || rowid"},
    "other": {},
}
_POSTGRESQL = {
    "json": {what: f"'{value}'::jsonb" for what, value in _JSON.items()},
    "word": {"a strange word": f"'{WORD}'"},
    "time": {"before all": "'-infinity'", "behind all": "'infinity'"},
    "text": {"a strange text": f"'{WORD} ' || substr(md5(random()::text), 1, 8)"},
    "number": {},
    "other": {},
}


class Copies:
    """Copies of one world, each to be spoilt once; they share a connection pool, and so all compiled statements."""

    def __init__(self, open_: Callable[[], Database], renew: Callable[[], None], spoil: Callable[[str], None]) -> None:
        self._open = open_
        self._renew = renew
        self._spoil = spoil
        self._usual = open_()
        self.world = build(self._usual)
        self.close()

    @contextmanager
    def spoilt(self, how: Spoiling) -> Iterator[Database]:
        """A copy in which a column of the bad half holds something else."""
        # Where a driver gives up, other connections are made from then on.
        usual = self._usual if how.sort in {"json", "word"} else self._open()
        usual.dispose()
        self._renew()
        self._spoil(f'UPDATE {how.table} SET "{how.column}" = {how.value} WHERE {self.world.spoilt[how.table]}')
        yield Database(usual.engine, usual.label)
        usual.dispose()

    def close(self) -> None:
        """Let go of the last one."""
        self._usual.dispose()


def sqlite_copies(template: Path, folder: Path) -> Copies:
    """In files below `folder`."""
    file, kept = Path(copied_sqlite(template, folder).removeprefix("sqlite:///")), folder / "kept.db"

    def open_() -> Database:
        database = open_database(load_settings(flags={"home": folder, "database.url": f"sqlite:///{file}"}))
        event.listen(database.engine, "connect", lambda line, _entry: line.execute("PRAGMA synchronous=OFF"))
        return database

    def renew() -> None:
        if not kept.exists():
            shutil.copyfile(file, kept)
        for end in ("", "-wal", "-shm"):
            file.with_name(file.name + end).unlink(missing_ok=True)
        shutil.copyfile(kept, file)

    def spoil(statement: str) -> None:
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute(statement)
        connection.commit()
        connection.close()

    return Copies(open_, renew, spoil)


def postgresql_copies(server: URL, copy: URL, folder: Path) -> Copies:
    """All in the database `copy`, which nobody else uses."""
    kept = f"{copy.database}_kept"
    administrate(copy, *_checks())

    def open_() -> Database:
        url = as_application(copy.render_as_string(hide_password=False))
        return open_database(load_settings(flags={"home": folder, "database.url": url}))

    def renew() -> None:
        with suppress(psycopg.errors.DuplicateDatabase):
            administrate(server, f"CREATE DATABASE {kept} TEMPLATE {copy.database}")
        administrate(server, f"DROP DATABASE {copy.database} WITH (FORCE)")
        administrate(server, f"CREATE DATABASE {copy.database} TEMPLATE {kept}")

    return Copies(open_, renew, lambda statement: administrate(copy, statement))


def _checks() -> list[str]:
    """Statements that drop what keeps strange words out."""
    return [
        f"ALTER TABLE {table.name} DROP CONSTRAINT IF EXISTS {constraint.name}"
        for table in Table.metadata.sorted_tables
        for constraint in table.constraints
        if constraint.__class__.__name__ == "CheckConstraint"
    ]

"""Ids and epochs that files have taken: a database that was restored from a copy is older than its files.

What ran after the copy was made has left folders under ids and epochs that the restored rows would give again, and
there may be processes that still hold them. So no id of a job and no epoch of a task is given whose folder lies on the
disk, whoever restored the database, and whether anybody has said so
([decision 54](../docs/decisions/054-what-lies-on-the-disk-is-not-given-again.md)).
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import cast, func, select, text
from sqlalchemy.orm import Session

from db.engine import ROOT
from db.tables.base import Table
from db.tables.jobs import Job

LARGEST_GIVEN = 10**12  # a folder with a larger number was not named by us
DRAWN_AT_MOST = 1_000_000  # ids of a sequence at once: to set it takes rights that a role for rows does not have
_OF_JOBS = ("runs", "outputs")  # folders whose entries are named by jobs


def new_ids(session: Session, table: type[Table], count: int) -> list[int]:
    """Draw ids from the sequence of a table.  PostgreSQL only."""
    numbers = func.generate_series(1, count).table_valued("number")
    return list(session.scalars(select(func.nextval(_sequence(table))).select_from(numbers)))


def _sequence(table: type[Table]) -> Any:
    from sqlalchemy.dialects.postgresql import REGCLASS

    return cast(func.pg_get_serial_sequence(table.__tablename__, "id"), REGCLASS)


def next_ids(session: Session, table: type[Table], count: int) -> range:
    """The ids that SQLite gives to the next rows, as long as the transaction holds its lock."""
    given = session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.__tablename__})
    first = (given or 0) + 1
    return range(first, first + count)


def unused_job_ids(session: Session, count: int) -> list[int]:
    """Ids for new jobs, in rising order: none of them was ever given, and nothing lies on the disk under any."""
    drawn = _next_job_ids(session, count)
    while _any_on_disk(session, drawn):
        step_over(session, Job, max(_ids_on_disk(session), default=0))
        drawn = _next_job_ids(session, count)
    return drawn


def _next_job_ids(session: Session, count: int) -> list[int]:
    return list(next_ids(session, Job, count)) if is_sqlite(session) else new_ids(session, Job, count)


def step_over(session: Session, table: type[Table], highest: int) -> None:
    """Let the ids of a table go on above `highest`, if they do not yet."""
    if not 0 < highest <= LARGEST_GIVEN:
        return
    if is_sqlite(session):
        name = {"name": table.__tablename__, "highest": highest}
        row = session.execute(
            text("UPDATE sqlite_sequence SET seq = max(seq, :highest) WHERE name = :name RETURNING seq"), name
        )
        if row.one_or_none() is None:
            session.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :highest)"), name)
        return
    (drawn,) = new_ids(session, table, 1)
    if 0 < highest - drawn <= DRAWN_AT_MOST:  # else what lies in between is passed over one by one
        new_ids(session, table, highest - drawn)


def is_sqlite(session: Session) -> bool:
    """Whether this is the embedded database."""
    return session.get_bind().dialect.name == "sqlite"


def _any_on_disk(session: Session, job_ids: Collection[int]) -> bool:
    root = _root(session)
    if root is None:
        return False
    return any(os.path.lexists(root / folder / str(job_id)) for job_id in job_ids for folder in _OF_JOBS)


def _ids_on_disk(session: Session) -> Iterator[int]:
    root = _root(session)
    for folder in _OF_JOBS if root is not None else ():
        yield from numbered(root / folder)  # type: ignore[operator]


def numbered(folder: Path) -> Iterator[int]:
    """The numbers that name entries of a folder; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            numbers = (int(entry.name) for entry in entries if entry.name.isdecimal() and len(entry.name) < 19)
            yield from (number for number in numbers if number <= LARGEST_GIVEN)
    except OSError:
        return


def _root(session: Session) -> Path | None:
    found: Path | None = session.info.get(ROOT)
    return found


def unused_epoch(session: Session, path: str, epoch: int) -> int:
    """The epoch, or, where its folder `path` lies on the disk, the first above all that lie beside it."""
    root = _root(session)
    if root is None or not os.path.lexists(root / path):
        return epoch
    return max(epoch, *numbered((root / path).parent)) + 1

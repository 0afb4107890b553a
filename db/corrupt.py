"""Rows that no pixmill has written: each is told of once, and stops none of the others.

What reads one row raises CorruptRow, and whoever works off rows one by one lets `CorruptRows.spared` take it. What
reads many at once reads them with `sound_rows`, which leaves out those that cannot be read. A job that cannot go on
without what cannot be read is noted, and failed by `fail_noted` in a transaction of its own.

Caught is CorruptRow alone: no error of the database, and none of the program.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from db.statements import Mend, fetch_with
from pixmill.errors import CorruptRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

KEY = "pixmill_corrupt"  # of what sessions know
MOST = 1000  # that are remembered as told


class CorruptRows:
    """Those that this process has met; safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: set[tuple[str, str]] = set()
        self._jobs: dict[int, str] = {}  # that have to be failed → why

    def tell(self, row: str, error: CorruptRow) -> None:
        """Log a row (such as "schedule 7") that cannot be read, unless that was said before."""
        told = (row, error.message)
        with self._lock:
            if told in self._told:
                return
            if len(self._told) >= MOST:
                self._told.clear()
            self._told.add(told)
        log.error("%s cannot be read", row, extra={"action": "read", "row": row, "reason": error.message})

    @property
    def told(self) -> list[tuple[str, str]]:
        """(row, what it holds) of those that were told of."""
        with self._lock:
            return sorted(self._told)

    def note_job(self, job_id: int | None, row: str, error: CorruptRow) -> None:
        """Tell of a row of a job that cannot go on without it; `take` gives the job."""
        self.tell(row, error)
        if job_id is None:  # that cannot be read either
            return
        with self._lock:
            self._jobs[job_id] = f"{row} cannot be read: {error.message}"

    def take(self) -> dict[int, str]:
        """The jobs that were noted since this was asked last, and why."""
        if not self._jobs:
            return {}
        with self._lock:
            jobs, self._jobs = self._jobs, {}
        return jobs

    @contextmanager
    def spared(self, row: str, job_id: int | None = None) -> Iterator[None]:
        """End the block, and nothing else, where it meets what cannot be read; a job that is named is noted."""
        try:
            yield
        except CorruptRow as error:
            if job_id is None:
                self.tell(row, error)
            else:
                self.note_job(job_id, row, error)


def corrupt_rows(session: "Session") -> CorruptRows:
    """Those of the session's database."""
    known: CorruptRows = session.info[KEY]
    return known


def sound_rows(
    session: "Session", statement: Any, parameters: Mapping[str, Any], mend: Mend | None = None
) -> list[Any]:
    """As `fetch`, without the rows that cannot be read.

    `mend(row, error)` gets such a row with None for what cannot be read in it; it tells of it, and gives what shall
    stand in its place, or None. Without it they are told of in general.
    """

    def told(_row: Any, error: CorruptRow) -> None:
        corrupt_rows(session).tell("a row", error)

    return fetch_with(session, statement, parameters, mend or told)


def blank(session: "Session", row_name: str) -> Mend:
    """For a row that is of use without what cannot be read in it, which is None then."""

    def told(row: Any, error: CorruptRow) -> Any:
        corrupt_rows(session).tell(row_name, error)
        return row

    return told


def of_task(session: "Session") -> Mend:
    """For rows with `job_id`, and the task's `id`: the job cannot go on."""
    return lambda row, error: corrupt_rows(session).note_job(row.job_id, f"task {row.id} of job {row.job_id}", error)


def of_job(session: "Session") -> Mend:
    """For rows with the `id` of a job: it cannot go on."""
    return lambda row, error: corrupt_rows(session).note_job(row.id, f"job {row.id}", error)

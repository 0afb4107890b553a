"""The logs of a job's attempts: whole, their last lines, and as they grow.

They are read from the attempt's folder; where that cannot be seen from here, what its worker has brought into the
database stands for it.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from client.situation import Situation
from client.waiting import Note, quietly, watch
from client.workspace import Workspace
from pixmill.errors import NotFound
from storage.joblogs import FIRST, pieces
from storage.paths import Layout

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.engine import Database
    from db.listing import JobLine

TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class LogSource:
    """The log of one attempt."""

    number: int  # of the attempt, from 1
    title: str
    folder: Path
    task_id: int
    epoch: int
    is_over: bool

    @property
    def path(self) -> Path:
        """Its first file."""
        return self.folder / FIRST

    @property
    def is_here(self) -> bool:
        """Whether any of its files can be seen."""
        return bool(pieces(self.folder))


@dataclass(frozen=True)
class LogLook:
    """A job that is followed, as it stood at one moment, and the logs to be read."""

    line: "JobLine"
    situation: Situation
    sources: Sequence[LogSource]

    @property
    def is_last(self) -> bool:
        """Whether nothing will be written any more."""
        return self.line.job.state.is_terminal


def log_sources(session: "Session", storage_root: Path, job_id: int, attempt: int | None = None) -> list[LogSource]:
    """The logs of the job's attempts, in order of time, or of one of them.

    Raises NotFound for a job or an attempt that does not exist.
    """
    from db.finding import get_job
    from db.views import job_attempts

    get_job(session, job_id)
    layout = Layout(storage_root)
    sources = [
        LogSource(
            number=number,
            title=f"attempt {number}: task {task.number} ({task.role.value}) on {worker.name}",
            folder=layout.resolve(attempt.folder),
            task_id=task.id,
            epoch=attempt.lease_epoch,
            is_over=attempt.finished_at is not None,
        )
        for number, (attempt, task, worker) in enumerate(job_attempts(session, job_id), start=1)
    ]
    return sources if attempt is None else [_chosen(sources, attempt, job_id)]


def _chosen(sources: Sequence[LogSource], number: int, job_id: int) -> LogSource:
    if not 1 <= number <= len(sources):
        found = f"it has {len(sources)}" if sources else "none has begun"
        raise NotFound(f"job {job_id} has no attempt {number}; {found}", hint=f"pixmill job show {job_id}")
    return sources[number - 1]


def log_looks(workspace: Workspace, job_id: int, attempt: int | None = None, note: Note = quietly) -> Iterator[LogLook]:
    """The job and its logs, again and again until it has ended.

    Raises NotFound for a job that does not exist, or that has ended without that attempt.
    """
    for lines, situation in watch(workspace, [job_id], timeout_seconds=None, note=note):
        line = lines[job_id]
        with workspace.database.read() as session:
            sources = log_sources(session, workspace.settings.storage_root, job_id)
        if attempt is not None and (sources or line.job.state.is_terminal):
            sources = [_chosen(sources, attempt, job_id)]
        yield LogLook(line, situation, sources)


class LogReader:
    """Gives what each log has gained since it was last looked at, line by line."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._offsets: dict[Path, int] = {}
        self._shared: dict[Path, int] = {}  # folder → the first byte of the last part that was read
        self._ended: set[Path] = set()  # folders of logs that were read to their end from the database

    def new_lines(self, source: LogSource, *, whole: bool = False) -> Iterator[str]:
        """The new lines; with `whole`, also a last one that has no end yet.  Raises DatabaseUnreachable."""
        found = pieces(source.folder)
        for piece in found:
            yield from self._lines_of(piece.path, whole=whole)
        if not found:
            yield from self._shared_lines(source)

    def _lines_of(self, path: Path, *, whole: bool) -> Iterator[str]:
        try:
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n") and not whole:
                        return
                    self._offsets[path] = self._offsets.get(path, 0) + len(line)
                    yield _readable(line.rstrip(b"\n").decode(errors="replace"))
        except FileNotFoundError:
            return  # an older piece, which had to go meanwhile

    def _shared_lines(self, source: LogSource) -> Iterator[str]:
        """What its worker has brought into the database: whole lines, and of long logs the end."""
        from db.joblogs import shared_log

        if source.folder in self._ended:
            return
        after = self._shared.get(source.folder, -1)
        parts = self._database.consult(lambda session: shared_log(session, source.task_id, source.epoch, after))
        text = "".join(part.text for part in parts)
        if parts:
            self._shared[source.folder] = parts[-1].start
        if source.is_over:
            self._ended.add(source.folder)
        yield from map(_readable, text.splitlines())

    def is_shared(self, source: LogSource) -> bool:
        """Whether lines of it were found in the database."""
        return source.folder in self._shared

    def last_lines(self, source: LogSource, count: int) -> list[str]:
        """The last `count` of the new lines; the others count as read."""
        return list(deque(self.new_lines(source), maxlen=count))


def tail_lines(source: LogSource, count: int) -> list[str]:
    """The last lines of a log as they stand, at most `count` of its last 64 kB; none of a log on another host."""
    lines: list[str] = []
    left = TAIL_BYTES
    for piece in reversed(pieces(source.folder)):
        try:
            size_bytes = piece.path.stat().st_size
            lines = [*_tail_of(piece.path, left), *lines]
        except FileNotFoundError:
            break  # an older piece, which had to go meanwhile
        left -= size_bytes
        if left <= 0 or len(lines) >= count:
            break
    return [_readable(line) for line in lines[-count:]]


def _tail_of(path: Path, most_bytes: int) -> list[str]:
    """The whole lines of the last bytes of a file."""
    with path.open("rb") as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(0, size_bytes - most_bytes))
        lines = file.read().decode(errors="replace").splitlines()
    return lines[1:] if size_bytes > most_bytes else lines


def _readable(line: str) -> str:
    """The line without what a terminal would obey; a tab stays."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "�" for letter in line)

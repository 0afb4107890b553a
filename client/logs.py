"""The log files of a job's attempts: whole, their last lines, and as they grow."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from client.situation import Situation
from client.waiting import Note, quietly, watch
from client.workspace import Workspace
from pixmill.errors import NotFound
from storage.paths import Layout

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.views import JobLine

FILE_NAME = "log.txt"


@dataclass(frozen=True, kw_only=True)
class LogSource:
    """The log of one attempt."""

    number: int  # of the attempt, from 1
    title: str
    path: Path


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
    from db.jobs import get_job
    from db.views import job_attempts

    get_job(session, job_id)
    layout = Layout(storage_root)
    sources = [
        LogSource(
            number=number,
            title=f"attempt {number}: task {task.number} ({task.role.value}) on {worker.name}",
            path=layout.resolve(attempt.folder) / FILE_NAME,
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

    def __init__(self) -> None:
        self._offsets: dict[Path, int] = {}

    def new_lines(self, source: LogSource, *, whole: bool = False) -> Iterator[str]:
        """The new lines; with `whole`, also a last one that has no end yet. None of a log on another host."""
        path = source.path
        try:
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n") and not whole:
                        return
                    self._offsets[path] = self._offsets.get(path, 0) + len(line)
                    yield _readable(line.rstrip(b"\n").decode(errors="replace"))
        except FileNotFoundError:
            return  # not begun yet, or on another host

    def last_lines(self, source: LogSource, count: int) -> list[str]:
        """The last `count` of the new lines; the others count as read."""
        return list(deque(self.new_lines(source), maxlen=count))


def _readable(line: str) -> str:
    """The line without what a terminal would obey; a tab stays."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "�" for letter in line)

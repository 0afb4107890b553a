"""The log files of a job's attempts: print them, and follow them until the job has ended."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import Workspace
from cli.output import say
from client.reasons import reason_of
from client.situation import Situation
from pixmill.errors import NotFound
from pixmill.states import State
from storage.paths import Layout

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.views import JobLine

FILE_NAME = "log.txt"
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class LogSource:
    """The log of one attempt."""

    number: int  # of the attempt, from 1
    title: str
    path: Path


def log_sources(session: "Session", settings_root: Path, job_id: int) -> list[LogSource]:
    """The logs of the job's attempts, in order of time.  Raises NotFound for a job that does not exist."""
    from db.jobs import get_job
    from db.views import job_attempts

    get_job(session, job_id)
    layout = Layout(settings_root)
    return [
        LogSource(
            number=number,
            title=f"attempt {number}: task {task.number} ({task.role.value}) on {worker.name}",
            path=layout.resolve(attempt.folder) / FILE_NAME,
        )
        for number, (attempt, task, worker) in enumerate(job_attempts(session, job_id), start=1)
    ]


def chosen_source(sources: Sequence[LogSource], number: int, job_id: int) -> LogSource:
    """The log of attempt `number`.  Raises NotFound."""
    if not 1 <= number <= len(sources):
        found = f"it has {len(sources)}" if sources else "none has begun"
        raise NotFound(f"job {job_id} has no attempt {number}; {found}", hint=f"pixmill job show {job_id}")
    return sources[number - 1]


class LogPrinter:
    """Prints what each log has gained since it was last looked at: whole lines, with a title when the log changes."""

    def __init__(self, *, titles: bool) -> None:
        self._titles = titles
        self._offsets: dict[Path, int] = {}
        self._current: int | None = None

    def print_new(self, source: LogSource, *, whole: bool = False) -> None:
        """Print the new lines; with `whole`, also a last one that has no end yet."""
        for line in self._new_lines(source.path, whole=whole):
            self._announce(source)
            click.echo(line)

    def print_tail(self, source: LogSource, count: int) -> None:
        """Print the last `count` lines, and take the rest for printed."""
        lines = deque(self._new_lines(source.path, whole=False), maxlen=count)
        for line in lines:
            self._announce(source)
            click.echo(line)

    def _announce(self, source: LogSource) -> None:
        if self._titles and source.number != self._current:
            say(f"==> {source.title} <==")
        self._current = source.number

    def _new_lines(self, path: Path, *, whole: bool) -> Iterator[str]:
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


def _readable(line: str) -> str:
    """The line without what a terminal would obey; a tab stays."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "�" for letter in line)


def print_logs(sources: Sequence[LogSource], tail: int | None) -> None:
    """Print logs from their beginning, or their last lines."""
    printer = LogPrinter(titles=len(sources) > 1)
    for source in sources:
        if tail is None:
            printer.print_new(source, whole=True)
        else:
            printer.print_tail(source, tail)
    missing = [source for source in sources if not source.path.is_file()]
    for source in missing:
        say(f"{source.title}: no log at {source.path}; is it on another host?")


def follow(workspace: Workspace, job_id: int, number: int | None, tail: int | None) -> "JobLine":
    """Print the logs as they grow until the job has ended; gives the job as it then is.  Raises NotFound."""
    from cli.waiting import say_waiting
    from client.waiting import ending, watch

    root = workspace.settings.storage_root
    printer = LogPrinter(titles=True)
    said: str | None = None
    begun = False
    for lines, situation in watch(workspace, [job_id], timeout_seconds=None, note=say_waiting):
        line = lines[job_id]
        with workspace.database.read() as session:
            sources = log_sources(session, root, job_id)
        if number is not None and (sources or line.job.state.is_terminal):
            sources = [chosen_source(sources, number, job_id)]
        if not begun and sources and tail is not None:
            printer.print_tail(sources[-1], tail)
        begun = begun or bool(sources)
        for source in sources:
            printer.print_new(source, whole=line.job.state.is_terminal)
        if line.job.state.is_terminal:
            say(ending(line, situation))
        else:
            said = _say_waiting(line, situation, said)
    return line


def _say_waiting(line: "JobLine", situation: Situation, said: str | None) -> str | None:
    """Say why nothing is written, whenever the reason changes."""
    if line.job.state is State.RUNNING:
        return None
    reason = reason_of(line, situation)
    code = _without_time(reason.code) if reason else line.job.state.value
    if code != said:
        text = reason.text if reason else ""
        say(f"job {line.job.id} is {line.job.state.value}: {code}{' (' + text + ')' if text else ''}")
    return code


def _without_time(code: str) -> str:
    """A reason's code that does not change from second to second."""
    name = code.partition("(")[0]
    return name if name in {"BeginTime", "RetryBackoff"} else code

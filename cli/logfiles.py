"""Print the logs of a job's attempts, and follow them until the job has ended."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from cli.context import Workspace
from cli.output import say
from client.logs import LogReader, LogSource, log_looks
from client.reasons.jobs import reason_of
from client.reasons.reason import lasting_code
from client.situation import Situation
from pixmill.states import State

if TYPE_CHECKING:
    from db.engine import Database
    from db.listing import JobLine


class LogPrinter:
    """Prints what each log has gained since it was last looked at: whole lines, with a title when the log changes."""

    def __init__(self, database: "Database", *, titles: bool) -> None:
        self._titles = titles
        self._reader = LogReader(database)
        self._current: int | None = None

    def print_new(self, source: LogSource, *, whole: bool = False) -> None:
        """Print the new lines; with `whole`, also a last one that has no end yet."""
        self._print(source, self._reader.new_lines(source, whole=whole))

    def print_tail(self, source: LogSource, count: int) -> None:
        """Print the last `count` lines, and take the rest for printed."""
        self._print(source, self._reader.last_lines(source, count))

    def is_shared(self, source: LogSource) -> bool:
        """Whether what was printed came out of the database."""
        return self._reader.is_shared(source)

    def _print(self, source: LogSource, lines: Iterable[str]) -> None:
        for line in lines:
            if self._titles and source.number != self._current:
                say(f"==> {source.title} <==")
            self._current = source.number
            click.echo(line)


def print_logs(workspace: Workspace, sources: Sequence[LogSource], tail: int | None) -> None:
    """Print logs from their beginning, or their last lines."""
    printer = LogPrinter(workspace.database, titles=len(sources) > 1)
    for source in sources:
        if tail is None:
            printer.print_new(source, whole=True)
        else:
            printer.print_tail(source, tail)
    for source in sources:
        if printer.is_shared(source):
            say(f"{source.title}: its end, as its worker told; the whole is on its host: {source.path}")
        elif not source.is_here:
            say(f"{source.title}: no log at {source.path}; is it on another host?")


def follow(workspace: Workspace, job_id: int, number: int | None, tail: int | None) -> State:
    """Print the logs as they grow until the job has ended; gives the state that it then has.  Raises NotFound."""
    from cli.waiting import say_waiting
    from client.waiting import ending

    printer = LogPrinter(workspace.database, titles=True)
    said: str | None = None
    begun = False
    for look in log_looks(workspace, job_id, number, say_waiting):
        if not begun and look.sources and tail is not None:
            printer.print_tail(look.sources[-1], tail)
        begun = begun or bool(look.sources)
        for source in look.sources:
            printer.print_new(source, whole=look.is_last)
        if look.is_last:
            say(ending(look.line, look.situation))
        else:
            said = _say_waiting(look.line, look.situation, said)
    return look.line.job.state


def _say_waiting(line: "JobLine", situation: Situation, said: str | None) -> str | None:
    """Say why nothing is written, whenever the reason changes."""
    if line.job.state is State.RUNNING:
        return None
    reason = reason_of(line, situation)
    code = lasting_code(reason) if reason else line.job.state.value
    if code != said:
        text = reason.text if reason else ""
        say(f"job {line.job.id} is {line.job.state.value}: {code}{' (' + text + ')' if text else ''}")
    return code

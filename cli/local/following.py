"""The progress of several jobs: bars on a terminal, a line every few seconds in a pipe."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.bars import JobBars
from cli.context import Workspace
from cli.local.service_logs import last_lines
from cli.output import can_animate, say
from cli.waiting import Show, progress_words, states_of, wait_for
from client.jobs import eta_seconds, progress_text
from client.logs import log_sources
from client.situation import Situation
from client.waiting import Lines, raise_outcome
from client.wording import duration
from pixmill.states import FailureReason, State

if TYPE_CHECKING:
    from db.listing import JobLine

LINE_SECONDS = 5.0
SHOWN_LOG_LINES = 15


def follow(workspace: Workspace, job_ids: Sequence[int]) -> None:
    """Show the jobs until all have ended.

    Raises JobFailed or JobCancelled, after the last words of the job that began it all.
    """
    with _display(job_ids) as show:
        lines = wait_for(workspace, job_ids, timeout_seconds=None, show=show)
    failed = [line for line in lines.values() if line.job.state is State.FAILED]
    # The others only waited for one that had failed.
    for line in failed:
        if line.job.reason != FailureReason.DEPENDENCY:
            _say_last_words(workspace, line)
    raise_outcome(states_of(lines))


@contextmanager
def _display(job_ids: Sequence[int]) -> Iterator[Show]:
    if not can_animate():
        yield _PlainLines().show
        return
    with JobBars(job_ids) as bars:
        yield bars.show


class _PlainLines:
    """What runs, in words, now and then."""

    def __init__(self) -> None:
        self._due_at = time.monotonic()

    def show(self, lines: Lines, situation: Situation) -> None:
        """Say what runs, unless that was said a moment ago."""
        if time.monotonic() < self._due_at:
            return
        running = [line for line in lines.values() if line.job.state is State.RUNNING]
        for line in running:
            words = f"{progress_text(line)}  {progress_words(line, situation) or 'starting'}{_eta(line)}"
            say(f"job {line.job.id} {line.job.title}: {words}")
        if running:
            self._due_at = time.monotonic() + LINE_SECONDS


def _eta(line: "JobLine") -> str:
    seconds = eta_seconds(line)
    return "" if seconds is None else f"  {duration(seconds)} left"


def _say_last_words(workspace: Workspace, line: "JobLine") -> None:
    with workspace.database.read() as session:
        sources = log_sources(session, workspace.settings.storage_root, line.job.id)
    if not sources:
        return
    say(f"the end of the log of job {line.job.id} ({line.job.title}), {sources[-1].path}:")
    for text in last_lines(sources[-1].path, SHOWN_LOG_LINES):
        say(f"  {text}")

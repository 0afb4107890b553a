"""Wait for jobs, with live bars on a terminal."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cli.context import Workspace
from cli.errors import INTERRUPTED
from cli.output import can_animate, say
from client.jobs import done_images
from client.reasons.jobs import reason_of
from client.reasons.reason import reason_text
from client.situation import Situation
from client.waiting import Lines, ending, raise_outcome, watch
from client.wording import plural
from pixmill.errors import PixmillError
from pixmill.states import State

if TYPE_CHECKING:
    from db.listing import JobLine

MOST_BARS = 20  # of more jobs it is counted how many have ended

Show = Callable[[Lines, Situation], None]


def wait_and_exit(workspace: Workspace, job_ids: Sequence[int], *, timeout_seconds: float | None) -> None:
    """Wait for the end of all jobs, and say how each ended; Ctrl-C only detaches.

    Raises NotFound, JobFailed, JobCancelled or, when time is up, JobNotFinished.
    """
    try:
        with _display(job_ids) as show:
            lines = wait_for(workspace, job_ids, timeout_seconds=timeout_seconds, show=show)
    except KeyboardInterrupt:
        leave(job_ids)
    raise_outcome(states_of(lines))


def leave(job_ids: Sequence[int]) -> None:
    """Say that the jobs go on without us, and how to come back."""
    names = " ".join(map(str, job_ids))
    verb = "continues" if len(job_ids) == 1 else "continue"
    if len(job_ids) > MOST_BARS:
        say(f"detached; {plural(len(job_ids), 'job')} continue: pixmill ps")
    else:
        say(f"detached; {'job' if len(job_ids) == 1 else 'jobs'} {names} {verb}: pixmill wait {names}")
    click.get_current_context().exit(INTERRUPTED)


def wait_for(workspace: Workspace, job_ids: Sequence[int], *, timeout_seconds: float | None, show: Show) -> Lines:
    """Look until every job has ended or the time is up; gives what was seen last."""
    ended: set[int] = set()
    lines: Lines = {}
    for lines, situation in watch(workspace, job_ids, timeout_seconds=timeout_seconds, note=say_waiting):
        show(lines, situation)
        for line in lines.values():
            if line.job.state.is_terminal and line.job.id not in ended:
                ended.add(line.job.id)
                say(ending(line, situation))
    return lines


def say_waiting(error: PixmillError) -> None:
    """Tell of an outage that is waited out."""
    say(f"note: {error.message}; still waiting")


def states_of(lines: Lines) -> dict[int, State]:
    """The state of each job."""
    return {job_id: line.job.state for job_id, line in lines.items()}


@contextmanager
def _display(job_ids: Sequence[int]) -> Iterator[Show]:
    """Bars on a terminal; elsewhere nothing moves."""
    if not can_animate():
        yield lambda _lines, _situation: None
        return
    from cli.bars import CountBar, JobBars

    if len(job_ids) > MOST_BARS:
        with CountBar("jobs that have ended") as bar:
            yield lambda lines, _situation: bar.show(
                sum(line.job.state.is_terminal for line in lines.values()), len(lines)
            )
        return
    with JobBars(job_ids) as bars:
        yield bars.show


def progress_words(line: "JobLine", situation: Situation) -> str:
    """What a bar says beside itself: the phase and the rate, or why the job waits."""
    job = line.job
    if job.state is not State.RUNNING:
        return reason_text(reason_of(line, situation)) or job.state.value
    losses = line.progress.get("losses") or {}
    words = [str(line.progress.get("phase") or ""), "" if line.rate is None else f"{line.rate:,.0f} img/s"]
    words += [f"{name} {value:.3g}" for name, value in losses.items() if isinstance(value, int | float)]
    return "  ".join(word for word in words if word)


def share_done(line: "JobLine") -> tuple[int, int]:
    """Images done, and images in all."""
    return done_images(line), max(1, line.job.progress_total)

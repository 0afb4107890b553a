"""Wait for jobs: look at the database until all have ended, with live bars on a terminal."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from cli.context import Workspace
from cli.errors import INTERRUPTED
from cli.formatting import duration, plural
from cli.jobs import done_images, run_seconds
from cli.output import can_animate, say
from cli.reasons import reason_of, reason_text
from cli.situation import Situation, read_situation
from pixmill.errors import DatabaseUnreachable, JobCancelled, JobFailed, JobNotFinished, JobOutcome
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.views import JobLine

T = TypeVar("T")

LOOK_SECONDS = 0.5
OUTAGE_SECONDS = 60.0  # a database that is away for longer ends the wait

Lines = Mapping[int, "JobLine"]
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
    raise_outcome(list(lines.values()))


def leave(job_ids: Sequence[int]) -> None:
    """Say that the jobs go on without us, and how to come back."""
    names = " ".join(map(str, job_ids))
    verb = "continues" if len(job_ids) == 1 else "continue"
    say(f"detached; {'job' if len(job_ids) == 1 else 'jobs'} {names} {verb}: pixmill wait {names}")
    click.get_current_context().exit(INTERRUPTED)


def wait_for(workspace: Workspace, job_ids: Sequence[int], *, timeout_seconds: float | None, show: Show) -> Lines:
    """Look until every job has ended or the time is up; gives what was seen last."""
    started = time.monotonic()
    ended: set[int] = set()
    for lines, situation in looks(workspace, job_ids):
        show(lines, situation)
        for line in lines.values():
            if line.job.state.is_terminal and line.job.id not in ended:
                ended.add(line.job.id)
                say(ending(line, situation))
        left = None if timeout_seconds is None else timeout_seconds - (time.monotonic() - started)
        if len(ended) == len(lines) or (left is not None and left <= 0):
            return lines
        time.sleep(LOOK_SECONDS if left is None else min(LOOK_SECONDS, left))
    raise AssertionError("unreachable")


def looks(workspace: Workspace, job_ids: Sequence[int]) -> Iterator[tuple[Lines, Situation]]:
    """The jobs as they are, again and again; short outages of the database are waited out.  Raises NotFound."""
    from db.views import job_line

    def read(session: "Session") -> tuple[Lines, Situation]:
        lines = {job_id: job_line(session, job_id) for job_id in job_ids}
        return lines, read_situation(session, workspace.settings.scheduler.lease_seconds, list(lines.values()))

    return reads(workspace, read)


def reads(workspace: Workspace, read: "Callable[[Session], T]") -> Iterator[T]:
    """What is read, again and again; short outages of the database are waited out, but for one at the start."""
    last_seen = None
    while True:
        try:
            with workspace.database.read() as session:
                found = read(session)
        except DatabaseUnreachable as error:
            if last_seen is None or time.monotonic() - last_seen > OUTAGE_SECONDS:
                raise
            say(f"note: {error.message}; still waiting")
            time.sleep(LOOK_SECONDS * 4)
            continue
        last_seen = time.monotonic()
        yield found


def ending(line: "JobLine", situation: Situation) -> str:
    """How the job ended, in a sentence."""
    seconds = run_seconds(line, situation.at)
    took = "" if seconds is None else f" after {duration(seconds)}"
    why = reason_text(reason_of(line, situation))
    state = "was cancelled" if line.job.state is State.CANCELLED else line.job.state.value
    return f"job {line.job.id} ({line.job.name}) {state}{took}{': ' + why if why else ''}"


def raise_outcome(lines: Sequence["JobLine"]) -> None:
    """Raise what the worst ending calls for; nothing when all succeeded."""
    by_state: dict[State, list[int]] = {}
    for line in lines:
        by_state.setdefault(line.job.state, []).append(line.job.id)
    if failed := by_state.get(State.FAILED):
        raise _outcome(JobFailed, failed, len(lines), "failed", f"pixmill job show {failed[0]}")
    if cancelled := by_state.get(State.CANCELLED):
        raise _outcome(JobCancelled, cancelled, len(lines), "cancelled", f"pixmill job show {cancelled[0]}")
    unfinished = [line.job.id for line in lines if not line.job.state.is_terminal]
    if unfinished:
        names = " ".join(map(str, unfinished))
        raise _outcome(JobNotFinished, unfinished, len(lines), "not finished in time", f"pixmill wait {names}")


def _outcome(kind: type[JobOutcome], job_ids: Sequence[int], total: int, words: str, hint: str) -> JobOutcome:
    if total == 1:
        return kind(f"job {job_ids[0]} {words}", hint=hint)
    names = ", ".join(map(str, job_ids))
    return kind(f"{len(job_ids)} of {plural(total, 'job')} {words}: {names}", hint=hint)


@contextmanager
def _display(job_ids: Sequence[int]) -> Iterator[Show]:
    """Bars on a terminal; elsewhere nothing moves."""
    if not can_animate():
        yield lambda _lines, _situation: None
        return
    from cli.bars import JobBars

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

"""Wait for jobs and for runs of pipelines: look at the database until all has ended, with patience for it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from client.jobs import run_seconds
from client.reasons.jobs import reason_of
from client.reasons.reason import reason_text
from client.situation import Situation, read_situation
from client.wording import duration, plural
from client.workspace import Workspace
from pixmill.errors import DatabaseUnreachable, JobCancelled, JobFailed, JobNotFinished, JobOutcome, PixmillError
from pixmill.states import PipelineState, State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.listing import JobLine
    from db.pipelines import RunView
    from db.tables.pipelines import PipelineRun

T = TypeVar("T")

_NAMED = 12  # jobs in one message
LOOK_SECONDS = 0.5
LOOK_PAUSES = 3.0  # a look at thousands of jobs is followed by a pause of so many times its length
LONGEST_PAUSE_SECONDS = 5.0  # a look that an outage made long is no reason for a long pause
OUTAGE_SECONDS = 60.0  # a database that is away for longer ends the wait

Lines = Mapping[int, "JobLine"]
Note = Callable[[PixmillError], None]  # told of an outage that is waited out


def quietly(_error: PixmillError) -> None:
    """Tell nobody."""


def watch(
    workspace: Workspace, job_ids: Sequence[int], *, timeout_seconds: float | None, note: Note = quietly
) -> Iterator[tuple[Lines, Situation]]:
    """The jobs as they are, again and again, until all have ended or the time is up.  Raises NotFound."""

    def all_ended(look: tuple[Lines, Situation]) -> bool:
        return all(line.job.state.is_terminal for line in look[0].values())

    return until(looks(workspace, job_ids, note), all_ended, timeout_seconds)


def watch_run(
    workspace: Workspace, run_id: int, *, timeout_seconds: float | None, note: Note = quietly
) -> Iterator["RunView"]:
    """The run of a pipeline, again and again, until it has ended or the time is up.  Raises NotFound."""
    from db.pipelines import view_run

    views = reads(workspace, lambda session: view_run(session, run_id), note)
    return until(views, lambda view: view.run.state is not PipelineState.RUNNING, timeout_seconds)


def watch_drain(
    workspace: Workspace, name: str, *, timeout_seconds: float | None, note: Note = quietly
) -> Iterator[int]:
    """How many tasks of the queue run, again and again, until none does or the time is up.  Raises NotFound."""
    from db.emptying import running_tasks

    counts = reads(workspace, lambda session: running_tasks(session, name), note)
    return until(counts, lambda count: count == 0, timeout_seconds)


def until(found: Iterator[T], is_over: Callable[[T], bool], timeout_seconds: float | None) -> Iterator[T]:
    """What is found, with a pause after each, up to the first that is over, or until the time is up."""
    started = looked = time.monotonic()
    for one in found:
        pause = max(LOOK_SECONDS, min(LOOK_PAUSES * (time.monotonic() - looked), LONGEST_PAUSE_SECONDS))
        yield one
        left = None if timeout_seconds is None else timeout_seconds - (time.monotonic() - started)
        if is_over(one) or (left is not None and left <= 0):
            return
        time.sleep(pause if left is None else min(pause, left))
        looked = time.monotonic()


def looks(workspace: Workspace, job_ids: Sequence[int], note: Note = quietly) -> Iterator[tuple[Lines, Situation]]:
    """The jobs as they are, again and again; short outages of the database are waited out.  Raises NotFound."""
    from db.listing import job_lines

    succeeded: dict[int, JobLine] = {}  # seen once, they are not read again: what has failed may be tried again

    def read(session: "Session") -> tuple[Lines, Situation]:
        found = {line.job.id: line for line in job_lines(session, [one for one in job_ids if one not in succeeded])}
        succeeded.update((job_id, line) for job_id, line in found.items() if line.job.state is State.SUCCEEDED)
        lines = {job_id: succeeded.get(job_id) or found[job_id] for job_id in job_ids}
        return lines, read_situation(session, workspace.settings.scheduler.lease_seconds, list(lines.values()))

    return reads(workspace, read, note)


def reads(workspace: Workspace, read: "Callable[[Session], T]", note: Note = quietly) -> Iterator[T]:
    """What is read, again and again; short outages of the database are waited out, but for one at the start."""
    last_seen = None
    while True:
        try:
            with workspace.database.read() as session:
                found = read(session)
        except DatabaseUnreachable as error:
            if last_seen is None or time.monotonic() - last_seen > OUTAGE_SECONDS:
                raise
            note(error)
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
    return f"job {line.job.id} ({line.job.title}) {state}{took}{': ' + why if why else ''}"


def raise_outcome(states: Mapping[int, State]) -> None:
    """Raise what the worst ending of these jobs calls for; nothing when all succeeded."""
    by_state: dict[State, list[int]] = {}
    for job_id, state in states.items():
        by_state.setdefault(state, []).append(job_id)
    if failed := by_state.get(State.FAILED):
        raise _outcome(JobFailed, failed, len(states), "failed", f"pixmill job show {failed[0]}")
    if cancelled := by_state.get(State.CANCELLED):
        raise _outcome(JobCancelled, cancelled, len(states), "cancelled", f"pixmill job show {cancelled[0]}")
    unfinished = [job_id for job_id, state in states.items() if not state.is_terminal]
    if unfinished:
        names = " ".join(map(str, unfinished[:_NAMED])) + (" …" if len(unfinished) > _NAMED else "")
        raise _outcome(JobNotFinished, unfinished, len(states), "not finished in time", f"pixmill wait {names}")


def _outcome(kind: type[JobOutcome], job_ids: Sequence[int], total: int, words: str, hint: str) -> JobOutcome:
    if total == 1:
        return kind(f"job {job_ids[0]} {words}", hint=hint)
    names = ", ".join(map(str, job_ids[:_NAMED])) + (", …" if len(job_ids) > _NAMED else "")
    return kind(f"{len(job_ids)} of {plural(total, 'job')} {words}: {names}", hint=hint)


def raise_run_outcome(run: "PipelineRun") -> None:
    """Raise what the ending of a pipeline's run calls for; nothing when it succeeded or was skipped."""
    hint = f"pixmill pipeline show {run.id}"
    why = f": {run.message}" if run.message else ""
    match run.state:
        case PipelineState.FAILED:
            raise JobFailed(f"pipeline run {run.id} failed{why}", hint=hint)
        case PipelineState.CANCELLED:
            raise JobCancelled(f"pipeline run {run.id} was cancelled{why}", hint=hint)
        case PipelineState.RUNNING:
            raise JobNotFinished(f"pipeline run {run.id} not finished in time", hint=f"pixmill pipeline wait {run.id}")

"""The promises, checked from database, disk and journals: nothing lost, nothing doubled, nothing torn.

`check_history` looks at rows alone and may be asked at any moment; `check_everything` re-hashes every published file
and wants a line that has come to rest. Neither stops at a violation and neither changes anything.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from db.engine import Database
from db.tables.jobs import Role
from pixmill.states import State, job_state
from storage.paths import Layout
from tests.faults.counters import check_counters
from tests.faults.fence import check_fence
from tests.faults.files import check_files
from tests.faults.history import History, read_history
from tests.faults.resume import check_resume
from tests.faults.violation import Invariant, Violation


@dataclass(frozen=True)
class Known:
    """What the checker is told by whoever disturbed the line, since no row can say it."""

    submitted: Mapping[str, int | None] | None = None  # key → the job id that was acknowledged, if one was
    damaged: Collection[str] = field(default=frozenset())  # paths of checkpoint files that were spoilt on purpose
    may_fail: Collection[int] | None = None  # jobs whose failure is no surprise; None: any
    may_be_cancelled: Collection[int] | None = None  # jobs that somebody cancelled; None: any


def check_history(history: History, known: Known | None = None, *, at_rest: bool = False) -> list[Violation]:
    """What the rows alone prove to be broken; `at_rest`: nothing more is going on, so every job must have ended."""
    known = known or Known()
    return [
        *_check_ends(history, known, at_rest=at_rest),
        *_check_submitted(history, known),
        *_check_once(history),
        *check_fence(history),
        *check_counters(history),
    ]


def check_everything(database: Database, root: Path, known: Known | None = None) -> list[Violation]:
    """All that is broken in a line at rest: rows, files and journals."""
    known = known or Known()
    history = read_history(database)
    layout = Layout(root)
    return [
        *check_history(history, known, at_rest=True),
        *check_files(history, layout, known.damaged),
        *check_resume(history, layout, known.damaged),
    ]


def _check_ends(history: History, known: Known, *, at_rest: bool) -> Iterator[Violation]:
    for job in history.jobs:
        states = [task.state for task in history.tasks_of_job[job.id]]
        if not states:
            yield Violation(Invariant.ENDS, f"job {job.id} has no task")
            continue
        if job.state is not job_state(states):
            yield Violation(Invariant.ENDS, f"job {job.id} is {job.state}, its tasks are {', '.join(states)}")
        if at_rest and not job.state.is_terminal:
            yield Violation(Invariant.ENDS, f"job {job.id} is still {job.state} although nothing disturbs it")
        if job.state.is_terminal and job.finished_at is None:
            yield Violation(Invariant.ENDS, f"job {job.id} is {job.state} and has no end")
        allowed = {State.FAILED: known.may_fail, State.CANCELLED: known.may_be_cancelled}.get(job.state)
        if allowed is not None and job.id not in allowed:
            why = f"{job.reason}: {job.message}"
            yield Violation(Invariant.ENDS, f"job {job.id} is {job.state}, which nobody asked for ({why})")


def _check_submitted(history: History, known: Known) -> Iterator[Violation]:
    if known.submitted is None:
        return
    ids: dict[str, list[int]] = {}
    for job in history.jobs:
        ids.setdefault(str(job.key), []).append(job.id)
    for key, job_id in known.submitted.items():
        found = ids.pop(key, [])
        if job_id is not None and found != [job_id]:
            yield Violation(Invariant.ENDS, f"key {key} was acknowledged as job {job_id}, found: {found or 'nothing'}")
        elif len(found) > 1:
            yield Violation(Invariant.ONCE, f"key {key} became the jobs {found}")
    for key, found in ids.items():
        yield Violation(Invariant.ONCE, f"nobody submitted {found} (key {key})")


def _check_once(history: History) -> Iterator[Violation]:
    yield from _check_attempts_once(history)
    for job in history.jobs:
        versions = history.versions_of_job[job.id]
        if len(versions) > 1:
            yield Violation(Invariant.ONCE, f"job {job.id} published {len(versions)} model versions")
        if versions and job.state is not State.SUCCEEDED:
            yield Violation(Invariant.ONCE, f"job {job.id} is {job.state} and has published a model")
        if job.kind == "train" and job.state is State.SUCCEEDED and not versions:
            yield Violation(Invariant.ENDS, f"train job {job.id} has succeeded without a model")
        yield from _check_shards_once(history, job.id)
    yield from _check_outputs_once(history)


def _check_attempts_once(history: History) -> Iterator[Violation]:
    for task in history.tasks:
        attempts = history.attempts_of_task[task.id]
        won = [attempt.lease_epoch for attempt in attempts if attempt.outcome == "succeeded"]
        if len(won) > 1:
            yield Violation(Invariant.ONCE, f"task {task.id} succeeded in the epochs {won}")
        if bool(won) is not (task.state is State.SUCCEEDED):
            yield Violation(Invariant.ONCE, f"task {task.id} is {task.state}, succeeded attempts: {won or 'none'}")
        ends = sum(event.to_state == State.SUCCEEDED for event in history.events_of_task[task.id])
        if ends > 1:
            yield Violation(Invariant.ONCE, f"task {task.id} has gone to succeeded {ends} times")


def _check_shards_once(history: History, job_id: int) -> Iterator[Violation]:
    numbers = [shard.number for shard in history.shards_of_job[job_id]]
    doubled = sorted({number for number in numbers if numbers.count(number) > 1})
    if doubled:
        yield Violation(Invariant.ONCE, f"job {job_id} published the shards {doubled} more than once")


def _check_outputs_once(history: History) -> Iterator[Violation]:
    """A data set is published by the result of the one assemble task of a job."""
    for job_id, tasks in history.tasks_of_job.items():
        published = [task.id for task in tasks if task.role is Role.ASSEMBLE and task.result is not None]
        unfinished = [task for task in tasks if task.id in published and task.state is not State.SUCCEEDED]
        if len(published) > 1 or unfinished:
            yield Violation(Invariant.ONCE, f"job {job_id} published a data set in the tasks {published}")

"""I4: once a task was claimed anew, nothing is written under the lease before.

All times are of the database's clock, and a claim, a publication and an end of one task each hold the task's row: so
their times are in the order of their commits.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from db.tables.jobs import Attempt, Event, Outcome, Task
from db.tables.published import CheckpointKind
from pixmill.states import State
from tests.faults.history import History
from tests.faults.violation import Invariant, Violation
from tests.faults.witness import Move

# Where a task may go when an attempt ends so.
_ENDS: dict[Outcome, frozenset[State]] = {
    Outcome.SUCCEEDED: frozenset({State.SUCCEEDED}),
    Outcome.FAILED: frozenset({State.FAILED, State.PENDING, State.CANCELLED}),
    Outcome.CANCELLED: frozenset({State.CANCELLED}),
    Outcome.PREEMPTED: frozenset({State.PENDING, State.HELD, State.CANCELLED}),
    Outcome.LOST: frozenset({State.PENDING, State.HELD, State.FAILED, State.CANCELLED}),
}


def check_fence(history: History) -> Iterator[Violation]:
    """Look for writes under a lease that had passed on."""
    for task in history.tasks:
        attempts = history.attempts_of_task[task.id]
        yield from _check_numbers(history, task, attempts)
        yield from _check_order(task, attempts)
        yield from _check_events(history, task, attempts)
        yield from _check_moves(history, task, history.moves_of_task[task.id])
    yield from _check_rows(history)
    yield from _check_versions(history)


def _broken(text: str) -> Violation:
    return Violation(Invariant.FENCE, text)


def _check_numbers(history: History, task: Task, attempts: Sequence[Attempt]) -> Iterator[Violation]:
    """One after the other; after a restore from a copy the numbers of lost attempts are passed over, and told."""
    epochs = [attempt.lease_epoch for attempt in attempts]
    if history.has_stepped(task):
        if any(later <= earlier for earlier, later in pairwise(epochs)):
            yield _broken(f"task {task.id} was claimed in the epochs {epochs}")
    elif epochs != list(range(1, len(epochs) + 1)):
        yield _broken(f"task {task.id} was claimed in the epochs {epochs}")


def _check_order(task: Task, attempts: Sequence[Attempt]) -> Iterator[Violation]:
    for earlier, later in pairwise(attempts):
        if earlier.finished_at is None:
            yield _broken(f"task {task.id}: epoch {later.lease_epoch} began while {earlier.lease_epoch} had no end")
        elif earlier.finished_at > later.started_at:
            yield _broken(f"task {task.id}: epoch {earlier.lease_epoch} ended after {later.lease_epoch} had begun")


def _check_events(history: History, task: Task, attempts: Sequence[Attempt]) -> Iterator[Violation]:
    """Follow the task from state to state: each move begins where the last one ended, each claim has one end."""
    moves = [event for event in history.events_of_task[task.id] if event.from_state is not None]
    state, epoch = None, 0
    for event in moves:
        if state is not None and event.from_state != state:
            yield _broken(f"task {task.id}: event {event.id} begins at {event.from_state}, the task was {state}")
        if event.to_state == State.RUNNING:
            epoch += 1
        if event.from_state == State.RUNNING and 0 < epoch <= len(attempts):
            yield from _check_end(history, task, event, attempts[epoch - 1])
        state = event.to_state
    if state is not None and state != task.state:
        yield _broken(f"task {task.id} is {task.state}, its last event left it {state}")


def _check_end(history: History, task: Task, event: Event, attempt: Attempt) -> Iterator[Violation]:
    where = f"task {task.id}, epoch {attempt.lease_epoch}"
    if attempt.outcome is not None and State(str(event.to_state)) not in _ENDS[attempt.outcome]:
        yield _broken(f"{where}: the attempt {attempt.outcome}, but the task went to {event.to_state}")
    holder = history.worker_by_id[attempt.worker_id].name
    if event.to_state == State.SUCCEEDED and event.actor != holder:
        yield _broken(f"{where}: {event.actor} ended what {holder} held")


def _check_moves(history: History, task: Task, moves: Sequence[Move]) -> Iterator[Violation]:
    """What the triggers saw: an epoch begins with a claim and never comes back."""
    stepped = history.has_stepped(task)
    for move in moves:
        step = move.new_epoch - move.old_epoch
        is_claim = move.old_state in (State.QUEUED, State.PENDING) and move.new_state == State.RUNNING
        if step != int(is_claim) and not (stepped and step > 0):
            change = f"{move.old_epoch} → {move.new_epoch}"
            yield _broken(f"task {task.id}: epoch {change} when it went from {move.old_state} to {move.new_state}")
        if move.new_seq < move.old_seq:
            yield _broken(f"task {task.id}: dispatch number {move.old_seq} → {move.new_seq}")


def _check_rows(history: History) -> Iterator[Violation]:
    """Checkpoints and shards: published while their epoch was the task's, between its claim and its end."""
    for shard in history.shards:
        what = f"shard {shard.number} of job {shard.job_id}"
        yield from _check_time(history, what, shard.task_id, shard.lease_epoch, shard.created_at)
        if history.task_by_id[shard.task_id].job_id != shard.job_id:
            yield _broken(f"{what} belongs to task {shard.task_id} of another job")
    yield from _check_saves(history) if history.saves else _check_checkpoints(history)


def _check_saves(history: History) -> Iterator[Violation]:
    known = set()
    for save in history.saves:
        if save.path not in known:  # an operator's retry publishes an old state anew
            yield from _check_time(history, f"checkpoint {save.checkpoint_id}", save.task_id, save.epoch, save.at)
        known.add(save.path)


def _check_checkpoints(history: History) -> Iterator[Violation]:
    best = {row.path for row in history.checkpoints if row.kind is CheckpointKind.BEST}
    for row in history.checkpoints:
        if row.path not in best:  # as above
            yield from _check_time(history, f"checkpoint {row.id}", row.task_id, row.lease_epoch, row.created_at)


def _check_time(history: History, what: str, task_id: int, epoch: int, at: datetime) -> Iterator[Violation]:
    attempts = history.attempts_of_task[task_id]
    number = next((number for number, one in enumerate(attempts) if one.lease_epoch == epoch), None)
    if number is None:
        if not history.has_stepped(history.task_by_id[task_id]):  # else `output rebuild` has brought it back
            yield _broken(f"{what} has epoch {epoch}, task {task_id} was claimed {len(attempts)} times")
        return
    attempt = attempts[number]
    later = attempts[number + 1].started_at if number + 1 < len(attempts) else None
    if later is not None and at > later:
        yield _broken(f"{what} of epoch {epoch} was published after task {task_id} was claimed anew")
    elif at < attempt.started_at:
        yield _broken(f"{what} of epoch {epoch} was published before that epoch began")
    elif attempt.finished_at is not None and at > attempt.finished_at:
        yield _broken(f"{what} of epoch {epoch} was published after that epoch had ended ({attempt.outcome})")


def _check_versions(history: History) -> Iterator[Violation]:
    """A model comes from the one attempt that succeeded, out of its own folder."""
    for version in history.versions:
        tasks = history.tasks_of_job[version.job_id]
        attempts = [attempt for task in tasks for attempt in history.attempts_of_task[task.id]]
        won = [attempt for attempt in attempts if attempt.outcome is Outcome.SUCCEEDED]
        if not any(version.folder.startswith(f"{attempt.folder}/") for attempt in won):
            made_in = [attempt.folder for attempt in won] or "nothing"
            yield _broken(f"model version {version.id} lies in {version.folder}; what succeeded is {made_in}")

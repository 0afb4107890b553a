"""The life of a task and of its job, with the one table of allowed moves; and that of a run of a pipeline."""

from collections.abc import Iterable
from enum import StrEnum

from pixmill.errors import InvalidMove


class State(StrEnum):
    """Where a task stands. A job's state follows from the states of its tasks."""

    PENDING = "pending"
    """Waits: for a dependency, its begin time, a back-off, a paused queue or a free device."""
    HELD = "held"
    """An operator holds it back."""
    QUEUED = "queued"
    """A wake-up for it was, or is about to be, sent."""
    RUNNING = "running"
    """A worker holds its lease."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing moves it any more but an operator's retry."""
        return self in TERMINAL


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
ACTIVE = frozenset(State) - TERMINAL

ALLOWED_MOVES: dict[State, frozenset[State]] = {
    # running: a worker that has just ended a task takes the next one by itself.  cancelled: nobody had started it.
    # failed: a parent failed, so it never can run.
    State.PENDING: frozenset({State.QUEUED, State.RUNNING, State.HELD, State.CANCELLED, State.FAILED}),
    State.HELD: frozenset({State.PENDING, State.CANCELLED}),
    # pending: its worker class went away, or its queue was paused before a worker took it.
    State.QUEUED: frozenset({State.RUNNING, State.PENDING, State.HELD, State.CANCELLED, State.FAILED}),
    # pending: preempted, to be retried, or its lease expired.  held: an operator had it stopped and kept back.
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.PENDING, State.HELD}),
    # pending: an operator's retry.
    State.FAILED: frozenset({State.PENDING}),
    State.CANCELLED: frozenset({State.PENDING}),
    State.SUCCEEDED: frozenset(),
}


def check_move(what: str, current: State, target: State) -> None:
    """Raise InvalidMove unless `what` (such as "task 7") may go from `current` to `target`.

    >>> check_move("task 7", State.PENDING, State.QUEUED)
    >>> check_move("task 7", State.SUCCEEDED, State.RUNNING)
    Traceback (most recent call last):
        ...
    pixmill.errors.InvalidMove: task 7 cannot go from succeeded to running
    """
    if target not in ALLOWED_MOVES[current]:
        raise InvalidMove(f"{what} cannot go from {current} to {target}")


def job_state(task_states: Iterable[State]) -> State:
    """The state of a job whose tasks are in `task_states` (at least one).

    A failed or cancelled task decides the job only when no other task is still moving, so a job never looks
    finished while a device works for it.

    >>> job_state([State.SUCCEEDED, State.RUNNING])
    <State.RUNNING: 'running'>
    >>> job_state([State.SUCCEEDED, State.PENDING])
    <State.RUNNING: 'running'>
    >>> job_state([State.SUCCEEDED, State.HELD])
    <State.HELD: 'held'>
    >>> job_state([State.SUCCEEDED, State.FAILED, State.CANCELLED])
    <State.FAILED: 'failed'>
    """
    states = set(task_states)
    if State.RUNNING in states:
        return State.RUNNING
    if states <= TERMINAL:
        return next(state for state in (State.FAILED, State.CANCELLED, State.SUCCEEDED) if state in states)
    if states - TERMINAL == {State.HELD}:
        return State.HELD
    if State.SUCCEEDED in states:
        return State.RUNNING  # between two of its tasks
    return next(state for state in (State.QUEUED, State.PENDING) if state in states)


NO_NEW_DATA = "NoNewData"  # why a train job that has succeeded has trained nothing


class StepState(StrEnum):
    """Where a step of a run stands."""

    WAITING = "waiting"
    SUBMITTED = "submitted"  # its job was added
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing but an operator's retry moves it any more."""
        return self not in (StepState.WAITING, StepState.SUBMITTED)


class PipelineState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"  # a job had nothing to do, and so had the run
    CANCELLED = "cancelled"


class SkipCause(StrEnum):
    """Why a step was skipped; a job that skipped itself says it in a word of its own."""

    CONDITION = "Condition"
    DEPENDENCY = "Dependency"


class FailureReason(StrEnum):
    """Why a task failed, in one word that scripts can match."""

    USER_ERROR = "UserError"
    DATASET_MISSING = "DatasetMissing"
    DATASET_CHANGED = "DatasetChanged"
    DATA_REFUSED = "DataRefused"
    DISK_FULL = "DiskFull"
    OUT_OF_MEMORY = "OOM"
    NON_FINITE_LOSS = "NaNLoss"
    CORRUPT_FILE = "CorruptFile"
    CORRUPT_ROW = "CorruptRow"
    TIME_LIMIT = "TimeLimit"
    NO_PROGRESS = "NoProgress"
    WORKER_LOST = "WorkerLost"
    DEPENDENCY = "DependencyNeverSatisfied"
    ERROR = "Error"

    @property
    def is_retried(self) -> bool:
        """Whether another attempt may end otherwise: a full disk may be cleared, an unknown error may pass."""
        return self in {FailureReason.ERROR, FailureReason.DISK_FULL}

"""I7: every counter is what attempts and events add up to."""

from collections import Counter
from collections.abc import Iterator

from db.tables.jobs import Outcome, Task
from pixmill.states import State
from tests.faults.history import History
from tests.faults.violation import Invariant, Violation


def check_counters(history: History) -> Iterator[Violation]:
    """Compare the counters of all tasks with what was written down as it happened."""
    for task in history.tasks:
        for name, counted, recorded in _pairs(history, task):
            if counted != recorded:
                text = f"task {task.id}: {name} is {counted}, its history says {recorded}"
                yield Violation(Invariant.COUNTERS, text)


def _pairs(history: History, task: Task) -> Iterator[tuple[str, int, int]]:
    attempts = history.attempts_of_task[task.id]
    outcomes = Counter(attempt.outcome for attempt in attempts)
    events = history.events_of_task[task.id]
    targets = Counter(event.to_state for event in events if event.from_state is not None)
    yield "failures", task.failures, outcomes[Outcome.FAILED]
    yield "lost_leases", task.lost_leases, outcomes[Outcome.LOST]
    yield "preemptions", task.preemptions, outcomes[Outcome.PREEMPTED]
    if not history.has_stepped(task):
        yield "lease_epoch", task.lease_epoch, len(attempts)
    yield "claims", len(attempts), targets[State.RUNNING]
    yield "dispatch_seq", task.dispatch_seq, targets[State.QUEUED]
    yield "open attempts", sum(attempt.outcome is None for attempt in attempts), int(task.state is State.RUNNING)
    if history.moves:
        moves = history.moves_of_task[task.id]
        yield "state changes", len(targets) and sum(targets.values()), sum(m.old_state != m.new_state for m in moves)

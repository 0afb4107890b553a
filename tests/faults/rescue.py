"""I8: a lease runs out only where its worker was hurt; an outage or a clock takes nothing from a living worker."""

from collections.abc import Collection, Iterator

from db.dispatch import ACTOR
from pixmill.states import State
from tests.faults.history import History
from tests.faults.violation import Invariant, Violation


def check_rescues(history: History, hurt: Collection[int]) -> Iterator[Violation]:
    """Look for leases that a scheduler took; `hurt` are the pids of workers that were stopped, killed or had died."""
    for task in history.tasks:
        attempts = history.attempts_of_task[task.id]
        epoch = 0
        for event in history.events_of_task[task.id]:
            epoch += event.to_state == State.RUNNING and event.from_state is not None
            if event.from_state != State.RUNNING or event.actor != ACTOR or not 0 < epoch <= len(attempts):
                continue
            worker = history.worker_by_id[attempts[epoch - 1].worker_id]
            if worker.pid not in hurt:
                text = (
                    f"task {task.id}, epoch {epoch}: taken from {worker.name} (pid {worker.pid}), which was left alone"
                )
                yield Violation(Invariant.RESCUE, text)

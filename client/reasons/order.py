"""What keeps a job waiting, and which of it comes first.

The reasons go from the job outwards: what somebody wants of this very job (Held, BeginTime) and its own back-off after
a failure, then the jobs it waits for, then its queue, then devices and scheduler, then its rivals, and the broker at
last. Whatever stands before another has to change first, or the other one does not matter yet: a device that falls free
is of no use to a job whose retry is due in an hour, and by then another device may be free. Therefore RetryBackoff
stands beside BeginTime, before the queue's limit, Resources and Priority.

A list shows the first reason that holds; `pixmill job why` shows all, with numbers that are too dear for a list.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from client.reasons.case import Case
from client.reasons.limits import array_limit, queue_limit, queue_paused
from client.reasons.own import begin_time, held, retry_backoff
from client.reasons.parents import dependency, dependency_never_satisfied
from client.reasons.reason import Reason
from client.reasons.rivals import priority
from client.reasons.running import broker_down, drained, no_scheduler, no_worker, resources
from client.situation import Situation
from pixmill.states import State

if TYPE_CHECKING:
    from db.listing import JobLine

_WAITING = (State.PENDING, State.QUEUED, State.HELD)

CHECKS: tuple[Callable[[Case], Reason | None], ...] = (
    held,
    begin_time,
    retry_backoff,
    dependency_never_satisfied,
    dependency,
    queue_paused,
    array_limit,
    queue_limit,
    no_worker,
    drained,
    no_scheduler,
    resources,
    priority,
    broker_down,
)


def waiting_reasons(line: "JobLine", situation: Situation) -> Iterator[Reason]:
    """All that keeps the waiting tasks of a job from running, in the order in which it would have to change."""
    unfinished = situation.unfinished.get(line.job.id)
    if unfinished is None or not unfinished.count(*_WAITING):
        return
    case = Case(line, line.job, unfinished, situation)
    for check in CHECKS:
        reason = check(case)
        if reason is not None:
            yield reason

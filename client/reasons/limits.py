"""Reasons that lie with its queue, or its array."""

from client.reasons.case import Case
from client.reasons.reason import Reason
from pixmill.states import State


def queue_paused(case: Case) -> Reason | None:
    """An operator has paused its queue."""
    queue = case.situation.queues[case.job.queue]
    if not queue.paused:
        return None
    why = f": {queue.paused_reason}" if queue.paused_reason else ""
    return Reason(
        code="QueuePaused",
        text=f"queue {queue.name} is paused{why}",
        brief=queue.paused_reason or queue.name,
        remedy=f"pixmill queue resume {queue.name}",
        facts={"queue": queue.name, "why": queue.paused_reason},
    )


def array_limit(case: Case) -> Reason | None:
    """As many jobs of its array run as may."""
    array = case.situation.arrays.get(case.job.array_id) if case.job.array_id is not None else None
    if array is None or not array.is_full or case.unfinished.count(State.QUEUED, State.RUNNING):
        return None
    text = f"{array.active} of {array.max_running} of array {array.id} run"
    remedy = f"pixmill job set --array {array.id} --array-limit {array.active + 1}"
    facts = {"array": array.id, "running": array.active, "limit": array.max_running, "jobs": array.size}
    return Reason(code="ArrayLimit", text=text, remedy=remedy, facts=facts)


def queue_limit(case: Case) -> Reason | None:
    """As many tasks of its queue, or of its user there, run as may."""
    if case.unfinished.count(State.QUEUED) or not case.unfinished.count(State.PENDING):
        return None
    queue, user = case.situation.queues[case.job.queue], case.job.user_name
    active = case.situation.active
    in_queue = sum(count for (name, _user), count in active.items() if name == queue.name)
    of_user = active.get((queue.name, user), 0)
    if queue.max_running is not None and in_queue >= queue.max_running:
        text = f"queue {queue.name} runs {in_queue} of {queue.max_running}"
        option, running, limit = "--max-running", in_queue, queue.max_running
    elif queue.max_running_per_user is not None and of_user >= queue.max_running_per_user:
        text = f"queue {queue.name} runs {of_user} of {queue.max_running_per_user} of {user}"
        option, running, limit = "--max-running-per-user", of_user, queue.max_running_per_user
    else:
        return None
    remedy = f"pixmill queue set {queue.name} {option} {limit + 1}"
    facts = {"queue": queue.name, "running": running, "limit": limit}
    return Reason(code="QueueLimit", text=text, remedy=remedy, facts=facts)

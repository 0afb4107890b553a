"""Why a job does not run, or did not succeed: the one reason that a list shows."""

from typing import TYPE_CHECKING

from client.reasons.order import waiting_reasons
from client.reasons.reason import Reason
from client.situation import Situation
from pixmill.states import State

if TYPE_CHECKING:
    from db.listing import JobLine


def reason_of(line: "JobLine", situation: Situation) -> Reason | None:
    """Why the job waits, is about to stop, or did not succeed; None when there is nothing to explain."""
    job = line.job
    if job.state is State.FAILED:
        return Reason(code=job.reason or "Error", text=job.message or "")
    if job.state is State.SUCCEEDED:  # without doing anything
        return Reason(code=job.reason, text=job.message or "") if job.reason else None
    if job.state is State.RUNNING:
        return _running_reason(line, situation)
    return next(waiting_reasons(line, situation), None)


def _running_reason(line: "JobLine", situation: Situation) -> Reason | None:
    if line.job.cancel_requested:
        return Reason(code="Cancelling", text="its worker stops it with its next heartbeat")
    unfinished = situation.unfinished.get(line.job.id)
    if unfinished is not None and unfinished.stop_to is not None:
        return stopping_reason(unfinished.stop_to)
    if line.devices:
        return None
    return next(waiting_reasons(line, situation), Reason(code="Requeued", text="its next task waits for a device"))


def stopping_reason(stop_to: State) -> Reason:
    """Somebody asked for the running tasks to be stopped."""
    if stop_to is State.HELD:
        return Reason(code="Holding", text="it stops at its next checkpoint, and is held then")
    return Reason(code="Requeueing", text="it stops at its next checkpoint, and waits for a device again")

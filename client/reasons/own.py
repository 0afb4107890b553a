"""Reasons that lie with the job itself: what somebody wants of it, and its back-off after a failure."""

from client.reasons.case import Case
from client.reasons.reason import Reason
from client.wording import duration, span, utc
from pixmill.states import State


def held(case: Case) -> Reason | None:
    """All that is left of it is held."""
    if not case.unfinished.count(State.HELD) or case.unfinished.count(State.PENDING, State.QUEUED):
        return None
    which = f"--array {case.job.array_id}" if case.line.alike else f"{case.job.id}"
    remedy = f"pixmill job release {which}"
    event = case.situation.held_by
    if event is None:
        return Reason(code="Held", brief=remedy, remedy=remedy)
    why = f": {event.detail}" if event.detail else ""
    with_submit = " with its submit" if event.action == "submit" else ""
    text = f"by {event.actor} {span((case.situation.at - event.at).total_seconds())} ago{with_submit}{why}"
    return Reason(code="Held", text=text, remedy=remedy, facts={"by": event.actor, "at": event.at, "why": event.detail})


def begin_time(case: Case) -> Reason | None:
    """It was asked to begin later."""
    begin, at = case.job.begin_at, case.situation.at
    if begin is None or begin <= at:
        return None
    seconds = (begin - at).total_seconds()
    text = f"begins at {utc(begin)} (in {duration(seconds)})"
    return Reason(code=f"BeginTime(+{duration(seconds)})", text=text, brief="", facts={"begin_at": begin})


def retry_backoff(case: Case) -> Reason | None:
    """A task of it has failed, and is not due again yet."""
    back_off = case.unfinished.back_off
    if back_off is None:
        return None
    seconds = max(0.0, (back_off.until - case.situation.at).total_seconds())
    cause = f"{back_off.reason}: {back_off.message}" if back_off.message else back_off.reason
    which = f"retry {back_off.retry} of {back_off.retries}"
    return Reason(
        code=f"RetryBackoff({span(seconds)})",
        text=f"{which} in {duration(seconds)}, after {cause}",
        brief=f"{which}, after {cause}",
        remedy=f"pixmill logs {case.job.id}",
        facts={"until": back_off.until, "retry": back_off.retry, "retries": back_off.retries, "cause": back_off.reason},
    )

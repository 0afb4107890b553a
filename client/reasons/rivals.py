"""Reasons that lie with other jobs, which go first."""

from client.reasons.case import Case
from client.reasons.reason import Reason
from client.wording import plural
from pixmill.states import State


def priority(case: Case) -> Reason | None:
    """Tasks of other jobs, or of its own user, go first."""
    ahead = case.situation.ahead
    if ahead is None:
        return _promised(case)
    if not ahead.tasks or case.unfinished.count(State.QUEUED):
        return None
    own = f" ({ahead.of_the_user:,} of the same user)" if ahead.of_the_user else ""
    text = f"{plural(ahead.tasks, 'task')} {'is' if ahead.tasks == 1 else 'are'} ahead of it{own}"
    used = sorted(ahead.device_seconds.items(), key=lambda pair: (-pair[1], pair[0]))
    if len(used) > 1 and used[0][1] >= 1:
        told = [
            f"{user} {'used ' if place == 0 else ''}{seconds:,.0f}" for place, (user, seconds) in enumerate(used[:5])
        ]
        text += f"; {told[0]} device seconds" + "".join(f", {words}" for words in told[1:])
    facts = {"tasks": ahead.tasks, "of_the_user": ahead.of_the_user, "device_seconds": dict(ahead.device_seconds)}
    return Reason(code="Priority", text=text, remedy=f"pixmill job top {case.job.id}", facts=facts)


def _promised(case: Case) -> Reason | None:
    """Without counting: as many others are about to start as there are free devices."""
    if not case.free or case.unfinished.count(State.QUEUED) or not case.unfinished.count(State.PENDING):
        return None
    kinds = {None, *(member.worker.device.kind.value for member in case.free)}
    promised = sum(case.situation.promised.get(kind, 0) for kind in kinds)
    return Reason(code="Priority", text="others go first") if promised >= len(case.free) else None

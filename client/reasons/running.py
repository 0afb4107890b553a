"""Reasons that lie with what has to run it: devices, a scheduler, the broker."""

from client.fleet import USABLE, tally
from client.reasons.case import Case
from client.reasons.reason import Reason
from client.wording import plural
from pixmill.states import State


def no_worker(case: Case) -> Reason | None:
    """No worker is there that could run it, now or after a drain."""
    if any(member.state in USABLE or member.state == "drained" for member in case.devices):
        return None
    kind, wanted = case.wanted_kind, case.wanted_width
    if wanted > 1 and not case.devices:
        return _too_narrow(case, wanted)
    words = f"no {kind} worker runs" if kind else "no worker runs"
    others = f" ({tally(case.devices)})" if case.devices else ""
    brief = f"{words}{others}" if kind or others else f"{words}; start one: pixmill up"
    return Reason(code="NoWorker", text=words + others, brief=brief, remedy="pixmill up", facts={"kind": kind})


def _too_narrow(case: Case, wanted: int) -> Reason:
    kind = case.wanted_kind
    widest = max((member.worker.device.width for member in case.of_kind), default=0)
    most = f"the widest of {plural(len(case.of_kind), 'worker')} owns {widest}" if widest else "none runs at all"
    devices = f"{wanted} {kind} devices" if kind else f"{wanted} devices"
    text = f"it takes {devices} of one worker at once; {most}"
    remedy = f"pixmill worker start --device {kind or 'cuda'}:0-{wanted - 1}"
    facts = {"kind": kind, "devices": wanted, "widest": widest}
    return Reason(code="NoWorker", text=text, brief=f"no worker owns {devices}", remedy=remedy, facts=facts)


def drained(case: Case) -> Reason | None:
    """All that could run it take nothing more."""
    members = [member for member in case.devices if member.state == "drained"]
    if not members or any(member.state in USABLE for member in case.devices):
        return None
    first = members[0]
    noun = "device" if first.worker.device.drained else "worker"
    return Reason(
        code="Drained",
        text=tally(case.devices),
        brief=first.drain_reason,
        remedy=f"pixmill {noun} resume {first.label}",
        facts={"devices": [member.worker.name for member in members], "why": first.drain_reason},
    )


def no_scheduler(case: Case) -> Reason | None:
    """Nobody decides what runs."""
    if case.situation.scheduler_is_present:
        return None
    text = "no scheduler runs"
    return Reason(code="NoScheduler", text=text, brief=f"{text}; start one: pixmill up", remedy="pixmill up")


def resources(case: Case) -> Reason | None:
    """All that could run it are busy."""
    if case.free or not any(member.state in USABLE for member in case.devices) or case.unfinished.count(State.QUEUED):
        return None
    facts = {"workers": {member.worker.name: member.state for member in case.devices}}
    return Reason(
        code="Resources",
        text=tally(case.devices),
        brief="all devices are busy",
        remedy="pixmill device ls",
        facts=facts,
    )


def broker_down(case: Case) -> Reason | None:
    """No wake-up reaches a worker."""
    error = case.situation.broker_error
    return Reason(code="BrokerDown", text=error, remedy="pixmill status") if error else None

"""Why does a job not run, or why did it fail? One word that scripts can match, and the words behind it.

The reasons of what waits go from the job outwards: what somebody wants of this very job (Held, BeginTime) and its own
back-off after a failure, then the jobs it waits for, then its queue, then devices and scheduler, then its rivals, and
the broker at last. Whatever stands before another has to change first, or the other one does not matter yet: a device
that falls free is of no use to a job whose retry is due in an hour, and by then another device may be free. Therefore
RetryBackoff stands beside BeginTime, before the queue's limit, Resources and Priority.

A list shows the first reason that holds; `pixmill job why` shows all, with numbers that are too dear for a list.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from client.fleet import USABLE, Member, tally
from client.situation import SHOWN_PARENTS, Situation
from client.wording import duration, percent, plural, span, utc
from pixmill.kinds import devices_of
from pixmill.states import State

if TYPE_CHECKING:
    from db.listing import JobLine
    from db.reasons import Unfinished
    from db.tables.jobs import Job

_WAITING = (State.PENDING, State.QUEUED, State.HELD)


@dataclass(frozen=True, kw_only=True)
class Reason:
    """A code such as `Dependency(3)`, and what is behind it."""

    code: str
    text: str = ""  # a sentence, with numbers
    brief: str | None = None  # what a table shows of it; None: the text
    remedy: str = ""  # the command that changes it
    facts: Mapping[str, Any] = field(default_factory=dict)  # the numbers, for scripts

    def to_json(self) -> dict[str, Any]:
        """The reason as JSON."""
        name = self.code.partition("(")[0]
        text = self.text or None
        return {"reason": name, "code": self.code, "text": text, "remedy": self.remedy or None, "facts": self.facts}


def reason_text(reason: Reason | None) -> str:
    """The code, and some words: the cell of a table."""
    if reason is None:
        return ""
    words = reason.text if reason.brief is None else reason.brief
    return f"{reason.code}: {words}" if words else reason.code


def lasting_code(reason: Reason) -> str:
    """The code, but for what changes in it from second to second."""
    name = reason.code.partition("(")[0]
    return name if name in {"BeginTime", "RetryBackoff"} else reason.code


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


def waiting_reasons(line: "JobLine", situation: Situation) -> Iterator[Reason]:
    """All that keeps the waiting tasks of a job from running, in the order in which it would have to change."""
    unfinished = situation.unfinished.get(line.job.id)
    if unfinished is None or not unfinished.count(*_WAITING):
        return
    case = _Case(line, line.job, unfinished, situation)
    for check in _CHECKS:
        reason = check(case)
        if reason is not None:
            yield reason


@dataclass(frozen=True)
class _Case:
    """One job whose tasks wait."""

    line: "JobLine"
    job: "Job"
    unfinished: "Unfinished"
    situation: Situation

    @property
    def wanted_kind(self) -> str | None:
        device = str(self.job.options.get("device", "any"))
        return None if device == "any" else device

    @property
    def wanted_width(self) -> int:
        """How many devices it takes at once."""
        return devices_of(self.job.spec)

    @property
    def of_kind(self) -> list[Member]:
        """Those of the kind that it runs on, but for the ones that are down."""
        fleet = [member for member in self.situation.fleet if member.state != "down"]
        return [member for member in fleet if self.wanted_kind in {None, member.worker.device.kind.value}]

    @property
    def devices(self) -> list[Member]:
        """Those that it could run on, but for the ones that are down."""
        return [member for member in self.of_kind if member.worker.device.width >= self.wanted_width]

    @property
    def free(self) -> list[Member]:
        return [member for member in self.devices if member.state == "free"]


def _held(case: _Case) -> Reason | None:
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


def _begin_time(case: _Case) -> Reason | None:
    begin, at = case.job.begin_at, case.situation.at
    if begin is None or begin <= at:
        return None
    seconds = (begin - at).total_seconds()
    text = f"begins at {utc(begin)} (in {duration(seconds)})"
    return Reason(code=f"BeginTime(+{duration(seconds)})", text=text, brief="", facts={"begin_at": begin})


def _retry_backoff(case: _Case) -> Reason | None:
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


def _dependency_never_satisfied(case: _Case) -> Reason | None:
    lost = case.unfinished.lost_parents
    if not lost:
        return None
    return Reason(
        code="DependencyNeverSatisfied",
        text=f"it needs the success of {_parents(case, lost)}",
        brief=f"job {lost[0]} did not succeed",
        remedy=f"pixmill job retry {lost[0]}",
        facts={"jobs": list(lost)},
    )


def _dependency(case: _Case) -> Reason | None:
    waits_for = case.line.waits_for
    if not waits_for:
        return None
    more = ",…" if len(waits_for) > SHOWN_PARENTS else ""
    return Reason(
        code=f"Dependency({','.join(map(str, waits_for[:SHOWN_PARENTS]))}{more})",
        text=f"waits for {_parents(case, waits_for)}",
        brief="",
        remedy=f"pixmill job why {waits_for[0]}",
        facts={"jobs": list(waits_for)},
    )


def _parents(case: _Case, job_ids: Sequence[int]) -> str:
    """Some jobs and how far they are, such as "job 7 (running, 43%)"."""
    known = [_parent(job_id, case.situation.parents.get(job_id)) for job_id in job_ids[:SHOWN_PARENTS]]
    more = f" and {len(job_ids) - len(known)} more" if len(job_ids) > len(known) else ""
    return f"{', '.join(known)}{more}"


def _parent(job_id: int, line: "JobLine | None") -> str:
    if line is None:
        return f"job {job_id}"
    job = line.job
    far = f", {percent(min(line.done, job.progress_total), job.progress_total)}" if job.state is State.RUNNING else ""
    return f"job {job_id} ({job.state}{far})"


def _queue_paused(case: _Case) -> Reason | None:
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


def _array_limit(case: _Case) -> Reason | None:
    array = case.situation.arrays.get(case.job.array_id) if case.job.array_id is not None else None
    if array is None or not array.is_full or case.unfinished.count(State.QUEUED, State.RUNNING):
        return None
    text = f"{array.active} of {array.max_running} of array {array.id} run"
    remedy = f"pixmill job set --array {array.id} --array-limit {array.active + 1}"
    facts = {"array": array.id, "running": array.active, "limit": array.max_running, "jobs": array.size}
    return Reason(code="ArrayLimit", text=text, remedy=remedy, facts=facts)


def _queue_limit(case: _Case) -> Reason | None:
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


def _no_worker(case: _Case) -> Reason | None:
    if any(member.state in USABLE or member.state == "drained" for member in case.devices):
        return None
    kind, wanted = case.wanted_kind, case.wanted_width
    if wanted > 1 and not case.devices:
        return _too_narrow(case, wanted)
    words = f"no {kind} worker runs" if kind else "no worker runs"
    others = f" ({tally(case.devices)})" if case.devices else ""
    brief = f"{words}{others}" if kind or others else f"{words}; start one: pixmill up"
    return Reason(code="NoWorker", text=words + others, brief=brief, remedy="pixmill up", facts={"kind": kind})


def _too_narrow(case: _Case, wanted: int) -> Reason:
    kind = case.wanted_kind
    widest = max((member.worker.device.width for member in case.of_kind), default=0)
    most = f"the widest of {plural(len(case.of_kind), 'worker')} owns {widest}" if widest else "none runs at all"
    devices = f"{wanted} {kind} devices" if kind else f"{wanted} devices"
    text = f"it takes {devices} of one worker at once; {most}"
    remedy = f"pixmill worker start --device {kind or 'cuda'}:0-{wanted - 1}"
    facts = {"kind": kind, "devices": wanted, "widest": widest}
    return Reason(code="NoWorker", text=text, brief=f"no worker owns {devices}", remedy=remedy, facts=facts)


def _drained(case: _Case) -> Reason | None:
    drained = [member for member in case.devices if member.state == "drained"]
    if not drained or any(member.state in USABLE for member in case.devices):
        return None
    first = drained[0]
    noun = "device" if first.worker.device.drained else "worker"
    return Reason(
        code="Drained",
        text=tally(case.devices),
        brief=first.drain_reason,
        remedy=f"pixmill {noun} resume {first.label}",
        facts={"devices": [member.worker.name for member in drained], "why": first.drain_reason},
    )


def _no_scheduler(case: _Case) -> Reason | None:
    if case.situation.scheduler_is_present:
        return None
    text = "no scheduler runs"
    return Reason(code="NoScheduler", text=text, brief=f"{text}; start one: pixmill up", remedy="pixmill up")


def _resources(case: _Case) -> Reason | None:
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


def _priority(case: _Case) -> Reason | None:
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


def _promised(case: _Case) -> Reason | None:
    """Without counting: as many others are about to start as there are free devices."""
    if not case.free or case.unfinished.count(State.QUEUED) or not case.unfinished.count(State.PENDING):
        return None
    kinds = {None, *(member.worker.device.kind.value for member in case.free)}
    promised = sum(case.situation.promised.get(kind, 0) for kind in kinds)
    return Reason(code="Priority", text="others go first") if promised >= len(case.free) else None


def _broker_down(case: _Case) -> Reason | None:
    error = case.situation.broker_error
    return Reason(code="BrokerDown", text=error, remedy="pixmill status") if error else None


_CHECKS: tuple[Callable[[_Case], Reason | None], ...] = (
    _held,
    _begin_time,
    _retry_backoff,
    _dependency_never_satisfied,
    _dependency,
    _queue_paused,
    _array_limit,
    _queue_limit,
    _no_worker,
    _drained,
    _no_scheduler,
    _resources,
    _priority,
    _broker_down,
)

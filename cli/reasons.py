"""Why does a job not run, or why did it fail? One word that scripts can match, and the words behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cli.fleet import read_fleet
from cli.formatting import duration
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables import Job
    from db.views import JobLine

_WAITING = frozenset({State.PENDING, State.QUEUED, State.HELD})


@dataclass(frozen=True, kw_only=True)
class Reason:
    """A code such as `Dependency(3)`, and a sentence."""

    code: str
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the reasons of all jobs depend on, as it was at one moment."""

    at: datetime  # by the database's clock
    paused: Mapping[str, str]  # queue → why
    workers: Mapping[str, int]  # kind of device → workers that answer and are not draining
    free: Mapping[str, int]  # the idle ones among them
    scheduler_is_present: bool
    broker_error: str | None


def read_situation(session: "Session", lease_seconds: float) -> Situation:
    """Look at queues, workers and scheduler.  Raises DatabaseUnreachable."""
    from db.views import list_queues
    from db.workers import database_time, is_silent, latest_scheduler

    at = database_time(session)
    paused = {line.queue.name: line.queue.paused_reason or "" for line in list_queues(session) if line.queue.paused}
    workers: dict[str, int] = {}
    free: dict[str, int] = {}
    for member in read_fleet(session, lease_seconds):
        if member.state in {"free", "busy"}:
            kind = member.worker.device.kind.value
            workers[kind] = workers.get(kind, 0) + 1
            free[kind] = free.get(kind, 0) + (member.state == "free")
    scheduler = latest_scheduler(session)
    present = scheduler is not None and scheduler.stopped_at is None
    present = present and scheduler is not None and not is_silent(scheduler.seen_at, at, lease_seconds)
    return Situation(
        at=at,
        paused=paused,
        workers=workers,
        free=free,
        scheduler_is_present=present,
        broker_error=scheduler.broker_error if present and scheduler is not None else None,
    )


def reason_of(line: "JobLine", situation: Situation) -> Reason | None:
    """Why the job waits, is about to end, or did not succeed; None when there is nothing to explain."""
    job = line.job
    if job.state in _WAITING:
        return _waiting_reason(line, situation)
    if job.state is State.RUNNING:
        return _running_reason(line)
    if job.state is State.FAILED:
        return Reason(code=job.reason or "Error", text=job.message or "")
    return None


def _running_reason(line: "JobLine") -> Reason | None:
    if line.job.cancel_requested:
        return Reason(code="Cancelling", text="its worker stops it with its next heartbeat")
    if not line.devices:
        return Reason(code="Requeued", text="its next task waits for a device")
    return None


def _waiting_reason(line: "JobLine", situation: Situation) -> Reason | None:
    """The first that holds."""
    checks = (_held, _begin_time, _dependency, _queue_paused, _no_worker, _no_scheduler, _resources, _broker_down)
    return next((reason for check in checks if (reason := check(line, situation))), None)


def _held(line: "JobLine", _situation: Situation) -> Reason | None:
    if line.job.state is not State.HELD:
        return None
    return Reason(code="Held", text=f"pixmill job release {line.job.id}")


def _begin_time(line: "JobLine", situation: Situation) -> Reason | None:
    begin = line.job.begin_at
    if begin is None or begin <= situation.at:
        return None
    return Reason(code=f"BeginTime(+{duration((begin - situation.at).total_seconds())})")


def _dependency(line: "JobLine", _situation: Situation) -> Reason | None:
    if not line.waits_for:
        return None
    return Reason(code=f"Dependency({','.join(map(str, line.waits_for))})")


def _queue_paused(line: "JobLine", situation: Situation) -> Reason | None:
    if line.job.queue not in situation.paused:
        return None
    return Reason(code="QueuePaused", text=situation.paused[line.job.queue] or line.job.queue)


def _no_worker(line: "JobLine", situation: Situation) -> Reason | None:
    kinds = _kinds(line.job, situation.workers)
    if any(situation.workers[kind] for kind in kinds):
        return None
    wanted = _wanted_kind(line.job)
    return Reason(
        code="NoWorker", text=f"no {wanted} worker runs" if wanted else "no worker runs; start one: pixmill up"
    )


def _no_scheduler(_line: "JobLine", situation: Situation) -> Reason | None:
    if situation.scheduler_is_present:
        return None
    return Reason(code="NoScheduler", text="no scheduler runs; start one: pixmill up")


def _resources(line: "JobLine", situation: Situation) -> Reason | None:
    kinds = _kinds(line.job, situation.free)
    if line.job.state is State.QUEUED or any(situation.free[kind] for kind in kinds):
        return None
    return Reason(code="Resources", text="all devices are busy")


def _broker_down(_line: "JobLine", situation: Situation) -> Reason | None:
    return Reason(code="BrokerDown", text=situation.broker_error) if situation.broker_error else None


def _wanted_kind(job: "Job") -> str | None:
    device = str(job.options.get("device", "any"))
    return None if device == "any" else device


def _kinds(job: "Job", known: Mapping[str, int]) -> Sequence[str]:
    wanted = _wanted_kind(job)
    return [kind for kind in known if wanted in {None, kind}]

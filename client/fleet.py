"""Workers and devices as people look at them: the newest worker of each device, and what it does."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from client.wording import plural
from client.workspace import Workspace
from pixmill.errors import NotFound
from pixmill.names import suggestion

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables.fleet import Device, Worker

DEAF_AFTER = 2  # canaries that an idle worker did not hear; it ends itself then, unless it hangs
USABLE = frozenset({"free", "busy"})
STATES = ("free", "busy", "draining", "drained", "deaf", "silent", "down")


@dataclass(frozen=True, kw_only=True)
class Member:
    """One device with its newest worker."""

    worker: "Worker"
    state: str  # one of STATES
    job_id: int | None
    task_id: int | None
    at: datetime  # by the database's clock

    @property
    def is_present(self) -> bool:
        """Whether its worker runs and answers."""
        return self.state not in {"silent", "down"}

    @property
    def drain_reason(self) -> str | None:
        """Why nothing more may start there; None unless somebody drained the device or its worker."""
        device, worker = self.worker.device, self.worker
        if device.drained:
            return device.drain_reason or "no reason given"
        return worker.drain_reason if worker.draining and worker.stopped_at is None else None

    @property
    def label(self) -> str:
        """The device's name; with its host unless that is this one."""
        return device_label(self.worker.device)

    @property
    def remark(self) -> str:
        """What the REASON column says."""
        if self.state == "deaf":
            return f"{self.canaries_missed} canaries not heard"
        reason = self.drain_reason
        if reason is None:
            return ""
        return reason if self.state in {"draining", "drained"} else f"drained: {reason}"

    @property
    def canaries_missed(self) -> int:
        """How many messages the scheduler has sent since the last one that the worker heard."""
        return max(0, self.worker.canary_sent - self.worker.canary_heard)

    @property
    def seconds_silent(self) -> float:
        """Seconds since its worker was last heard of."""
        return max(0.0, (self.at - self.worker.seen_at).total_seconds())

    def device_json(self) -> dict[str, Any]:
        """The device as JSON."""
        device = self.worker.device
        return {
            "device": device.name,
            "host": device.host,
            "kind": device.kind.value,
            "model": device.model,
            "memory_bytes": device.memory_bytes,
            "memory_used_bytes": self.worker.memory_used_bytes if self.is_present else None,
            "utilisation": self.worker.utilisation if self.is_present else None,
            "width": device.width,
            "state": self.state,
            "drained": device.drained,
            "drain_reason": self.drain_reason,
            "job_id": self.job_id,
            "seen_at": self.worker.seen_at,
        }

    def worker_json(self) -> dict[str, Any]:
        """The worker as JSON."""
        worker = self.worker
        return {
            "id": worker.id,
            "name": worker.name,
            "host": worker.device.host,
            "device": worker.device.name,
            "pid": worker.pid,
            "version": worker.version,
            "state": self.state,
            "draining": worker.draining,
            "drain_reason": self.drain_reason,
            "canaries_missed": self.canaries_missed,
            "job_id": self.job_id,
            "task_id": self.task_id,
            "started_at": worker.started_at,
            "seen_at": worker.seen_at,
            "stopped_at": worker.stopped_at,
        }


def fleet_of(workspace: Workspace) -> list[Member]:
    """The newest worker of each device.  Raises DatabaseUnreachable."""
    with workspace.database.read() as session:
        return read_fleet(session, workspace.settings.scheduler.lease_seconds)


def read_fleet(session: "Session", lease_seconds: float, at: "datetime | None" = None) -> list[Member]:
    """The newest worker of each device, by host and device; `at` by the database's clock, if that is known."""
    from db.workers import database_time, is_silent, latest_workers, running_tasks

    at = at or database_time(session)
    tasks = running_tasks(session)
    members = []
    for worker in latest_workers(session):
        task = tasks.get(worker.id)
        silent = is_silent(worker.seen_at, at, lease_seconds)
        members.append(
            Member(
                worker=worker,
                state=_state(worker, silent=silent, busy=task is not None),
                job_id=task.job_id if task else None,
                task_id=task.id if task else None,
                at=at,
            )
        )
    return members


def _state(worker: "Worker", *, silent: bool, busy: bool) -> str:
    if worker.stopped_at is not None:
        return "down"
    if silent:
        return "silent"
    if worker.draining or worker.device.drained:
        ends = worker.draining and worker.drain_reason is None and not worker.device.drained
        return "draining" if busy or ends else "drained"
    if busy:
        return "busy"
    return "deaf" if worker.canary_sent - worker.canary_heard >= DEAF_AFTER else "free"


def device_label(device: "Device") -> str:
    """The device's name; with its host unless that is this one."""
    return device.name if device.host == socket.gethostname() else f"{device.host}:{device.name}"


def full_name(member: Member) -> str:
    """The device with its host, by which `find_member` knows it everywhere."""
    return f"{member.worker.device.host}:{member.worker.device.name}"


def find_member(fleet: Sequence[Member], name: str) -> Member:
    """The device called `cuda:0` on this host, or `host:cuda:0` on any.  Raises NotFound."""
    here = socket.gethostname()
    known: dict[str, Member] = {}
    for member in fleet:
        device = member.worker.device
        known[full_name(member)] = member
        if device.host == here:
            known[device.name] = member
    if name not in known:
        hint = suggestion(name, {member.label for member in fleet}) if fleet else "pixmill up"
        raise NotFound(f"there is no device {name!r}", hint=hint)
    return known[name]


def tally(fleet: Sequence[Member]) -> str:
    """What the devices do, in some words.

    >>> tally([])
    'no worker'
    """
    if not fleet:
        return "no worker"
    words = [_group(fleet, state) for state in STATES]
    return f"{plural(len(fleet), 'worker')}: {', '.join(word for word in words if word)}"


def _group(fleet: Sequence[Member], state: str) -> str:
    members = [member for member in fleet if member.state == state]
    if not members:
        return ""
    jobs = sorted({member.job_id for member in members if member.job_id is not None})
    whose = f" ({'jobs' if len(jobs) > 1 else 'job'} {', '.join(map(str, jobs))})" if jobs else ""
    reasons = dict.fromkeys(reason for member in members if (reason := member.drain_reason))
    why = f": {', '.join(reasons)}" if reasons and state in {"draining", "drained"} else ""
    return f"{len(members)} {state}{whose}{why}"

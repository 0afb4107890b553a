"""Workers and devices as people look at them: the newest worker of each device, and what it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.context import Workspace
from cli.formatting import age, size

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables import Worker


@dataclass(frozen=True, kw_only=True)
class Member:
    """One device with its newest worker."""

    worker: "Worker"
    state: str  # free, busy, draining, silent, down
    job_id: int | None
    task_id: int | None
    at: datetime  # by the database's clock

    @property
    def is_present(self) -> bool:
        """Whether its worker runs and answers."""
        return self.state not in {"silent", "down"}

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
            "state": self.state,
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


def read_fleet(session: "Session", lease_seconds: float) -> list[Member]:
    """The newest worker of each device, by host and device."""
    from db.workers import database_time, is_silent, latest_workers, running_tasks

    at = database_time(session)
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
    if worker.draining:
        return "draining"
    return "busy" if busy else "free"


def device_rows(fleet: Sequence[Member]) -> list[list[str]]:
    """Device, host, model, memory, state, job, seen."""
    return [
        [
            member.worker.device.name,
            member.worker.device.host,
            member.worker.device.model,
            size(member.worker.device.memory_bytes),
            member.state,
            str(member.job_id or "–"),
            age(member.worker.seen_at, member.at),
        ]
        for member in fleet
    ]

"""What earlier tasks have reached: how many images a second each device made."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables.fleet import Device, DeviceKind, Worker
from db.tables.jobs import Job, Role, Task
from pixmill.states import State

_RECENT_JOBS = 100  # of a kind, that are looked at …
_RECENT_IDS = 5_000  # … among so many of all kinds: a submit is to be quick whatever else has run
_RECENT_TASKS = 200


def recent_jobs(session: Session, kind: str) -> list[tuple[int, dict[str, Any]]]:
    """(id, spec) of jobs of this kind that run or have succeeded, the newest first."""
    newest = select(func.max(Job.id)).scalar_subquery()
    of_kind = (Job.kind == kind, Job.state.in_((State.RUNNING, State.SUCCEEDED)), Job.id > newest - _RECENT_IDS)
    found = session.execute(select(Job.id, Job.spec).where(*of_kind).order_by(Job.id.desc()).limit(_RECENT_JOBS))
    return [(job_id, spec) for job_id, spec in found]


def job_names(session: Session, job_ids: Collection[int]) -> dict[int, str]:
    """The names of jobs by id."""
    return {row.id: row.name for row in session.execute(select(Job.id, Job.name).where(Job.id.in_(job_ids)))}


def rates_by_device(session: Session, job_ids: Collection[int], kind: DeviceKind | None) -> dict[int, float]:
    """Images a second that each device (of this kind, None: of any) has made for these jobs, by the device's id."""
    done = (Task.job_id.in_(job_ids), Task.role == Role.GENERATE, Task.state == State.SUCCEEDED)
    statement = (
        select(Worker.device_id, Task.result)
        .join(Worker, Worker.id == Task.worker_id)
        .join(Device, Device.id == Worker.device_id)
        .where(*done, *(() if kind is None else (Device.kind == kind,)))
        .order_by(Task.id.desc())
        .limit(_RECENT_TASKS)
    )
    images: Counter[int] = Counter()
    seconds: dict[int, float] = {}
    for device_id, result in session.execute(statement):
        facts = result or {}
        images[device_id] += facts.get("made", 0)
        seconds[device_id] = seconds.get(device_id, 0.0) + facts.get("making_seconds", 0.0)
    return {device_id: made / seconds[device_id] for device_id, made in images.items() if made and seconds[device_id]}

"""Rows of jobs: add them and find them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from db.arrays import NewArray, add_array
from db.dependencies import mark_blocked
from db.engine import insert_absent
from db.order import rank_of
from db.tables.fleet import DeviceKind
from db.tables.jobs import Account, Event, Job, JobDependency, Queue, Role, Task, TaskDependency
from db.taken import unused_job_ids
from db.types import now
from pixmill.states import State

_BATCH = 1000  # jobs in one statement


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """A task to be added with its job."""

    role: Role
    params: Mapping[str, Any]
    after: tuple[int, ...] = ()  # numbers of tasks of the same job


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A validated job to be added."""

    kind: str
    name: str
    spec: Mapping[str, Any]
    spec_digest: str
    options: Mapping[str, Any]
    queue: str
    priority: int
    device_kind: DeviceKind | None
    key: str | None
    labels: Mapping[str, str]
    user_name: str
    begin_at: datetime | None
    hold: bool
    parents: Mapping[int, bool]  # job id → whether any outcome will do
    progress_total: int
    tasks: Sequence[NewTask]
    retries: int = 0
    retry_seconds: float = 30.0
    time_limit_seconds: float | None = None
    devices: int = 1  # that each task takes at once
    array: NewArray | None = None  # the same object for all jobs of an array
    array_index: int | None = None
    note: str | None = None  # what the event of the submit says
    trace_parent: str | None = None  # the trace that it is part of, as W3C traceparent

    @property
    def state(self) -> State:
        """The state in which it is added."""
        return State.HELD if self.hold else State.PENDING


def add_job(session: Session, new: NewJob) -> int:
    """Insert a job with its tasks, dependencies and first event; gives its id."""
    return add_jobs(session, [new])[0]


def add_jobs(session: Session, new: Sequence[NewJob]) -> list[int]:
    """Insert jobs, many in one statement; gives their ids in the same order."""
    for queue in sorted({job.queue for job in new}):
        insert_absent(session, Queue, {"name": queue})
    at = session.scalars(select(now())).one()
    for queue, user in sorted({(job.queue, job.user_name) for job in new}):
        insert_absent(session, Account, {"queue": queue, "user_name": user, "charged_at": at})
    pairs = list(zip(unused_job_ids(session, len(new)), new, strict=True))
    arrays = _add_arrays(session, pairs, at)
    for first in range(0, len(new), _BATCH):
        _add_batch(session, pairs[first : first + _BATCH], arrays, at)
    return [job_id for job_id, _job in pairs]


def _add_arrays(session: Session, pairs: Sequence[tuple[int, NewJob]], at: datetime) -> dict[NewArray, int]:
    """Insert the arrays that the jobs are of; gives their ids."""
    first: dict[NewArray, int] = {}
    for job_id, job in pairs:
        if job.array is not None and job.array not in first:
            first[job.array] = job_id
            add_array(session, job_id, job.array, at)
    return first


def _add_batch(
    session: Session, pairs: Sequence[tuple[int, NewJob]], arrays: Mapping[NewArray, int], at: datetime
) -> None:
    of_array = {job_id: arrays[job.array] for job_id, job in pairs if job.array is not None}
    session.execute(insert(Job), [_job_row(job_id, job, of_array.get(job_id), at) for job_id, job in pairs])
    limited = {job_id: of_array[job_id] for job_id, job in pairs if job.array and job.array.max_running is not None}
    tasks = [row for job_id, job in pairs for row in _task_rows(job_id, job, limited.get(job_id), at)]
    session.execute(insert(Task), tasks)
    _add_task_dependencies(session, {job_id: job for job_id, job in pairs if any(task.after for task in job.tasks)})
    edges = [
        {"job_id": job_id, "parent_id": parent_id, "any_outcome": any_outcome}
        for job_id, job in pairs
        for parent_id, any_outcome in job.parents.items()
    ]
    if edges:
        session.execute(insert(JobDependency), edges)
    waiting = [job_id for job_id, job in pairs if job.parents or any(task.after for task in job.tasks)]
    if waiting:
        mark_blocked(session, waiting)
    events = [
        {"job_id": job_id, "actor": job.user_name, "action": "submit", "to_state": job.state, "detail": job.note}
        for job_id, job in pairs
    ]
    session.execute(insert(Event), events)


def _job_row(job_id: int, new: NewJob, array_id: int | None, at: datetime) -> dict[str, Any]:
    return {
        "id": job_id,
        "array_id": array_id,
        "array_index": new.array_index,
        "kind": new.kind,
        "name": new.name,
        "state": new.state,
        "queue": new.queue,
        "priority": new.priority,
        "spec": dict(new.spec),
        "spec_digest": new.spec_digest,
        "options": dict(new.options),
        "key": new.key,
        "labels": dict(new.labels),
        "user_name": new.user_name,
        "begin_at": new.begin_at,
        "trace_parent": new.trace_parent,
        "progress_total": new.progress_total,
        "submitted_at": at,
    }


def _task_rows(job_id: int, new: NewJob, limited_by: int | None, at: datetime) -> Iterator[dict[str, Any]]:
    for number, task in enumerate(new.tasks):
        yield {
            "job_id": job_id,
            "number": number,
            "role": task.role,
            "params": dict(task.params),
            "state": new.state,
            "queue": new.queue,
            "user_name": new.user_name,
            "priority": new.priority,
            "rank": rank_of(at, new.priority),
            "device_kind": new.device_kind,
            "devices": new.devices,
            "limited_by": limited_by,
            "retries": new.retries,
            "retry_seconds": new.retry_seconds,
            "time_limit_seconds": new.time_limit_seconds,
            "available_at": new.begin_at,
            "progress": {},
        }


def _add_task_dependencies(session: Session, jobs: Mapping[int, NewJob]) -> None:
    for job_id, job in jobs.items():
        ids = list(session.scalars(select(Task.id).where(Task.job_id == job_id).order_by(Task.number)))
        edges = [
            {"task_id": ids[number], "parent_id": ids[parent]}
            for number, task in enumerate(job.tasks)
            for parent in task.after
        ]
        session.execute(insert(TaskDependency), edges)


def explain_success(session: Session, job_id: int, task_id: int, *, reason: str, message: str) -> None:
    """Say of a job of one task, which has just succeeded, why it has done nothing."""
    for table, row_id in ((Job, job_id), (Task, task_id)):
        session.execute(update(table).where(table.id == row_id).values(reason=reason, message=message))


def find_by_key(session: Session, key: str) -> Job | None:
    """The job that was submitted under this idempotency key."""
    return session.scalars(select(Job).where(Job.key == key)).one_or_none()


def ended(state: State) -> str:
    """A terminal state as it reads after "has".

    >>> ended(State.CANCELLED), ended(State.FAILED)
    ('been cancelled', 'failed')
    """
    return "been cancelled" if state is State.CANCELLED else state.value

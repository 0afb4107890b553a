"""Rows of jobs: add them, find them, hold and cancel them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, func, insert, or_, select
from sqlalchemy.orm import Session, aliased

from db.engine import insert_absent
from db.moves import LARGEST_ID, WAITING, lock_job, move_task, settle_job
from db.tables import DeviceKind, Event, Job, JobDependency, Queue, Role, Task, TaskDependency
from pixmill.errors import InvalidMove, NotFound
from pixmill.states import TERMINAL, State


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


def add_job(session: Session, new: NewJob) -> Job:
    """Insert a job with its tasks, dependencies and first event."""
    insert_absent(session, Queue, {"name": new.queue})
    state = State.HELD if new.hold else State.PENDING
    job = Job(
        kind=new.kind,
        name=new.name,
        state=state,
        queue=new.queue,
        priority=new.priority,
        spec=dict(new.spec),
        spec_digest=new.spec_digest,
        options=dict(new.options),
        key=new.key,
        labels=dict(new.labels),
        user_name=new.user_name,
        begin_at=new.begin_at,
        progress_total=new.progress_total,
    )
    session.add(job)
    session.flush()
    _add_tasks(session, job, new, state)
    for parent_id, any_outcome in new.parents.items():
        session.add(JobDependency(job_id=job.id, parent_id=parent_id, any_outcome=any_outcome))
    session.add(Event(job_id=job.id, actor=new.user_name, action="submit", to_state=state))
    session.flush()
    return job


def _add_tasks(session: Session, job: Job, new: NewJob, state: State) -> None:
    rows = [
        {
            "job_id": job.id,
            "number": number,
            "role": task.role,
            "params": dict(task.params),
            "state": state,
            "queue": new.queue,
            "priority": new.priority,
            "device_kind": new.device_kind,
            "available_at": new.begin_at,
            "progress": {},
        }
        for number, task in enumerate(new.tasks)
    ]
    session.execute(insert(Task), rows)
    ids = list(session.scalars(select(Task.id).where(Task.job_id == job.id).order_by(Task.number)))
    edges = [
        {"task_id": ids[number], "parent_id": ids[parent]}
        for number, task in enumerate(new.tasks)
        for parent in task.after
    ]
    if edges:
        session.execute(insert(TaskDependency), edges)


def get_job(session: Session, job_id: int) -> Job:
    """The job's row.  Raises NotFound."""
    job = session.get(Job, job_id) if job_id <= LARGEST_ID else None
    if job is None:
        raise NotFound(f"there is no job {job_id}", hint="pixmill ps --all")
    return job


def find_by_key(session: Session, key: str) -> Job | None:
    """The job that was submitted under this idempotency key."""
    return session.scalars(select(Job).where(Job.key == key)).one_or_none()


def cancel_job(session: Session, job_id: int, *, actor: str, why: str | None = None) -> State:
    """Cancel what waits and ask running tasks to stop; gives the job's state afterwards.

    A job that has ended is left as it is: InvalidMove says how it ended.
    """
    job = lock_job(session, job_id)
    if job.state in TERMINAL:
        raise InvalidMove(f"job {job_id} has already {ended(job.state)}; it cannot be cancelled")
    if not job.cancel_requested:
        job.cancel_requested = True
        session.add(Event(job_id=job_id, actor=actor, action="cancel", from_state=job.state, detail=why))
    waiting = select(Task.id, Task.state).where(Task.job_id == job_id, Task.state.in_(WAITING))
    for task_id, state in session.execute(waiting).all():
        move_task(session, task_id, state, State.CANCELLED, actor=actor, action="cancel", detail=why)
    settle_job(session, job, actor=actor)
    return job.state


def ended(state: State) -> str:
    """A terminal state as it reads after "has".

    >>> ended(State.CANCELLED), ended(State.FAILED)
    ('been cancelled', 'failed')
    """
    return "been cancelled" if state is State.CANCELLED else state.value


def release_job(session: Session, job_id: int, *, actor: str) -> None:
    """Let a held job go on.  Raises InvalidMove unless it is held."""
    job = lock_job(session, job_id)
    held = session.scalars(select(Task.id).where(Task.job_id == job_id, Task.state == State.HELD)).all()
    if not held:
        raise InvalidMove(f"job {job_id} is {job.state}, not held")
    for task_id in held:
        move_task(session, task_id, State.HELD, State.PENDING, actor=actor, action="release")
    settle_job(session, job, actor=actor)


def doomed_jobs(session: Session) -> Sequence[tuple[int, int]]:
    """(job, parent) pairs where a waiting job needs a parent's success that will never come."""
    parent = aliased(Job)
    statement = (
        select(JobDependency.job_id, func.min(JobDependency.parent_id))
        .join(Job, Job.id == JobDependency.job_id)
        .join(parent, parent.id == JobDependency.parent_id)
        .where(Job.state.in_([State.PENDING, State.HELD]), ~JobDependency.any_outcome)
        .where(parent.state.in_([State.FAILED, State.CANCELLED]))
        .group_by(JobDependency.job_id)
    )
    return [(job_id, parent_id) for job_id, parent_id in session.execute(statement)]


def unfinished_parent() -> ColumnElement[bool]:
    """SQL condition on tasks: some job or task that it waits for has not ended as it must."""
    parent_job = (
        exists()
        .where(JobDependency.job_id == Task.job_id, Job.id == JobDependency.parent_id)
        .where(or_(Job.state.not_in(TERMINAL), (Job.state != State.SUCCEEDED) & ~JobDependency.any_outcome))
        .correlate(Task)
    )
    parent = aliased(Task)
    parent_task = (
        exists()
        .where(TaskDependency.task_id == Task.id, parent.id == TaskDependency.parent_id)
        .where(parent.state != State.SUCCEEDED)
        .correlate(Task)
    )
    return or_(parent_job, parent_task)

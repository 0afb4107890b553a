"""Rows of arrays: add them, find them and their jobs, and change how many of these run at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from db.finding import LARGEST_ID
from db.lanes import ArrayLoad, array_loads, is_active, lock_arrays
from db.moves import LockedJob, add_event, lock_jobs, move_task, settle_job
from db.tables.jobs import Array, Job, Task
from pixmill.arrays import index_text
from pixmill.errors import NotFound
from pixmill.states import State

_UNSEEN: Any = {"synchronize_session": False}  # no object that the session holds reads the column


@dataclass(frozen=True, kw_only=True, eq=False)
class NewArray:
    """An array to be added with its jobs, all of which name this very object."""

    name: str  # of its first job
    size: int
    max_running: int | None
    key: str | None
    digest: str  # of what was asked for
    user_name: str


def add_array(session: Session, array_id: int, new: NewArray, at: datetime) -> None:
    """Insert the row of an array; its jobs follow in the same transaction."""
    values = {name: getattr(new, name) for name in ("name", "size", "max_running", "key", "digest", "user_name")}
    session.execute(insert(Array).values(id=array_id, submitted_at=at, **values))


def get_array(session: Session, array_id: int) -> Array:
    """The row of an array.  Raises NotFound, with the array that is meant if it was named by one of its jobs."""
    array = session.get(Array, array_id) if array_id <= LARGEST_ID else None
    if array is not None:
        return array
    job = session.get(Job, array_id) if array_id <= LARGEST_ID else None
    if job is None or job.array_id is None:
        raise NotFound(f"there is no array {array_id}", hint="an array has the id of its first job: pixmill ps")
    hint = f"job {job.id} is element {job.array_index} of array {job.array_id}"
    raise NotFound(f"there is no array {array_id}", hint=hint)


def find_array_by_key(session: Session, key: str) -> Array | None:
    """The array that was submitted under this idempotency key."""
    return session.scalars(select(Array).where(Array.key == key)).one_or_none()


def element_ids(session: Session, array_id: int) -> dict[int, int]:
    """Index → job, of all jobs of an array, by index."""
    found = select(Job.array_index, Job.id).where(Job.array_id == array_id).order_by(Job.array_index)
    return {index: job_id for index, job_id in session.execute(found) if index is not None}


def array_states(session: Session, array_id: int) -> dict[int, State]:
    """Job → its state, of all jobs of an array.  Raises NotFound."""
    get_array(session, array_id)
    found = select(Job.id, Job.state).where(Job.array_id == array_id).order_by(Job.array_index)
    return dict(iter(session.execute(found)))


def element_id(session: Session, array_id: int, index: int) -> int:
    """The job of an index.  Raises NotFound."""
    get_array(session, array_id)
    found = element_ids(session, array_id)
    if index not in found:
        has = index_text(list(found), most=5)
        raise NotFound(f"array {array_id} has no element {index}", hint=f"it has {has}: pixmill ps --array {array_id}")
    return found[index]


def set_array_limit(
    session: Session, array_id: int, max_running: int | None, *, actor: str, why: str | None = None
) -> ArrayLoad:
    """Change how many jobs of an array run at once (None lifts the limit); gives how it stands.  Raises NotFound.

    What runs beyond a new limit goes on.
    """
    get_array(session, array_id)
    # Whoever moves a task has locked its job: nothing of the array moves now.
    jobs = lock_jobs(session, sorted(element_ids(session, array_id).values()))
    lock_arrays(session, [array_id])
    array = session.get_one(Array, array_id, populate_existing=True)
    array.max_running = max_running
    of_array = Task.job_id.in_(select(Job.id).where(Job.array_id == array_id))
    limited_by = array_id if max_running is not None else None
    session.execute(update(Task).where(of_array).values(limited_by=limited_by), execution_options=_UNSEEN)
    if max_running is not None:
        _unqueue_beyond(session, array_id, jobs, actor)
    told = f"array {array_id}: max_running {'none' if max_running is None else max_running}"
    add_event(session, actor=actor, action="set_array", detail=f"{told}: {why}" if why else told, job_id=array_id)
    session.flush()
    return array_loads(session, [array_id])[array_id]


def _unqueue_beyond(session: Session, array_id: int, jobs: Mapping[int, LockedJob], actor: str) -> None:
    """Take back wake-ups of jobs for which the new limit has no room: they would keep a device from others."""
    load = array_loads(session, [array_id])[array_id]
    found = select(Task.job_id, Task.id, Task.state).where(Task.limited_by == array_id, is_active(Task.__table__))
    active = session.execute(found.order_by(Task.rank.desc(), Task.id.desc())).all()
    running = {job_id for job_id, _task_id, state in active if state is State.RUNNING}
    queued = list(dict.fromkeys(job_id for job_id, _task_id, _state in active if job_id not in running))
    for job_id in queued[: max(0, load.active - (load.max_running or 0))]:
        for task_id in (task_id for of_job, task_id, _state in active if of_job == job_id):
            detail = "its array runs as much as it may"
            move_task(session, task_id, State.QUEUED, State.PENDING, actor=actor, action="unqueue", detail=detail)
        settle_job(session, jobs[job_id], actor=actor)

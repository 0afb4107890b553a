"""Rows of finished outputs: brought back from what lies on the disk, and removed when nobody needs the images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from db.moves import add_event, lock_job
from db.tables.jobs import Event, Job, JobDependency, Role, Task
from db.tables.models import RegisteredDataset
from db.tables.published import Shard
from pixmill.errors import Conflict
from pixmill.states import ACTIVE, TERMINAL, State

OUTPUT_REMOVED = "remove_output"
OUTPUT_REBUILT = "rebuild_output"
FILE_ROLES = (Role.COMPRESS, Role.DECOMPRESS)  # of tasks that write image files of their own
USES_OUTPUT = ("evaluate", "decompress")  # kinds whose spec names the job that made an output


def require_at_rest(session: Session, job_id: int) -> None:
    """Raise Conflict while a task of the job runs: it may be publishing what is to be restored."""
    running = select(Task.id).where(Task.job_id == job_id, Task.state == State.RUNNING).limit(1)
    if session.scalar(running) is not None:
        raise Conflict(f"a task of job {job_id} is running", hint=f"pixmill wait {job_id}")


def restore_shards(session: Session, job_id: int, found: Sequence[Shard], *, actor: str) -> list[int]:
    """Add rows of shards that the job has none for; gives the numbers of those that were missing.

    Raises NotFound, and Conflict as `require_at_rest`.
    """
    lock_job(session, job_id)
    require_at_rest(session, job_id)
    present = set(session.scalars(select(Shard.number).where(Shard.job_id == job_id)))
    missing = [row for row in found if row.number not in present]
    session.add_all(missing)
    if missing:
        detail = f"rows of {len(missing)} shards were restored from their markers"
        add_event(session, actor=actor, action=OUTPUT_REBUILT, detail=detail, job_id=job_id)
    return [row.number for row in missing]


def forget_output(session: Session, job_id: int, folder: str, *, actor: str, why: str | None) -> None:
    """Delete the rows of a job's shards, or mark its files as gone; the job and its events stay.

    `folder` is where the data set lies. Raises NotFound, and Conflict when the job has not ended or somebody needs it.
    """
    job = lock_job(session, job_id)
    if job.state not in TERMINAL:
        raise Conflict(f"job {job_id} is {job.state}; what it makes cannot be removed", hint=f"pixmill cancel {job_id}")
    users = list(output_users(session, job_id, folder))
    if users:
        raise Conflict(f"the output of job {job_id} is needed: {'; '.join(users)}", hint="end that first")
    session.execute(delete(Shard).where(Shard.job_id == job_id))
    for task in session.scalars(select(Task).where(Task.job_id == job_id, Task.role.in_(FILE_ROLES))):
        if task.result is not None:
            session.execute(update(Task).where(Task.id == task.id).values(result={**task.result, "removed": True}))
    add_event(session, actor=actor, action=OUTPUT_REMOVED, detail=why, job_id=job_id)


def is_removed() -> ColumnElement[bool]:
    """Whether what a row of jobs has made was removed, and not brought back since; for statements about jobs."""
    return exists().where(Event.job_id == Job.id, _stands()).correlate(Job)


def removal_of(session: Session, job_id: int) -> Event | None:
    """The event by which a job's output was removed, unless it was brought back since."""
    statement = select(Event).where(Event.job_id == job_id, _stands())
    return session.scalars(statement.order_by(Event.id.desc()).limit(1)).one_or_none()


def _stands() -> ColumnElement[bool]:
    """Whether an event is a removal after which nothing was brought back."""
    later = aliased(Event)
    rebuilt = (later.job_id == Event.job_id, later.id > Event.id, later.action == OUTPUT_REBUILT)
    return (Event.action == OUTPUT_REMOVED) & ~exists().where(*rebuilt)


def largest_outputs(session: Session, limit: int) -> list[tuple[int, int]]:
    """(job id, bytes below runs/) of jobs that have ended, by what their shards take there, the largest first."""
    total = func.sum(Shard.size_bytes)
    statement = (
        select(Shard.job_id, total)
        .join(Job, Job.id == Shard.job_id)
        .where(Job.state.in_(TERMINAL), Shard.folder.like("runs/%"))  # others lie in a bucket
        .group_by(Shard.job_id)
        .order_by(total.desc(), Shard.job_id)
    )
    return [(job_id, int(size_bytes)) for job_id, size_bytes in session.execute(statement.limit(limit))]


def output_users(session: Session, job_id: int, folder: str) -> Iterator[str]:
    """One text for each unfinished job, and each registered data set, that needs the output."""
    children = select(JobDependency.job_id).where(JobDependency.parent_id == job_id)
    waiting = set(session.scalars(children))
    unfinished = select(Job.id, Job.kind, Job.state, Job.spec).where(Job.state.in_(ACTIVE)).order_by(Job.id)
    for other, kind, state, spec in session.execute(unfinished):
        named = kind in USES_OUTPUT and spec.get("output") == job_id
        if named or other in waiting or any(_lies_in(text, folder) for text in _texts(spec)):
            yield f"{kind} job {other} is {state}"
    for name, source in session.execute(select(RegisteredDataset.name, RegisteredDataset.source)):
        if _lies_in(source, folder):
            yield f"data set {name} is registered from it"


def _texts(spec: Mapping[str, Any]) -> Iterator[str]:
    return (value for value in spec.values() if isinstance(value, str))


def _lies_in(name: str, folder: str) -> bool:
    """Whether the name of a data set, `tar:PATH` or the like, means something in the folder, or the folder."""
    path = name[name.find("/") :] if "/" in name else ""
    return path == folder or path.startswith(f"{folder}/")

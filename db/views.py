"""What people and scripts look at: one job in full, what jobs have made, queues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.ends import attempt_ends
from db.outputs import FILE_ROLES
from db.tables.fleet import Worker
from db.tables.jobs import Attempt, Event, Job, Queue, Task
from db.tables.models import Evaluation
from db.tables.published import Checkpoint, CheckpointKind, Shard
from pixmill.states import ACTIVE, State


def first_params(session: Session, job_id: int) -> Mapping[str, Any]:
    """What the first task of a job is told."""
    statement = select(Task.params).where(Task.job_id == job_id, Task.number == 0)
    params: Mapping[str, Any] = session.scalars(statement).one()
    return params


def job_tasks(session: Session, job_id: int) -> Sequence[Task]:
    """The job's tasks by number."""
    return session.scalars(select(Task).where(Task.job_id == job_id).order_by(Task.number)).all()


def last_task(session: Session, job_id: int) -> Task:
    """The task that completes the job: it has the highest number."""
    return session.scalars(select(Task).where(Task.job_id == job_id).order_by(Task.number.desc()).limit(1)).one()


def job_attempts(session: Session, job_id: int) -> Sequence[tuple[Attempt, Task, Worker]]:
    """Attempts of the job's tasks, in order of time."""
    return attempt_ends(session, job_id, None).first


def job_events(session: Session, job_id: int) -> Sequence[Event]:
    """The job's events, oldest first."""
    return session.scalars(select(Event).where(Event.job_id == job_id).order_by(Event.id)).all()


def job_shards(session: Session, job_id: int) -> Sequence[Shard]:
    """The job's published shards by number."""
    return session.scalars(select(Shard).where(Shard.job_id == job_id).order_by(Shard.number)).all()


def task_checkpoints(session: Session, task_id: int, kind: CheckpointKind, *, above: int = 0) -> Sequence[Checkpoint]:
    """Published checkpoints of a task with a row id above this one, newest first."""
    statement = select(Checkpoint).where(Checkpoint.task_id == task_id, Checkpoint.kind == kind, Checkpoint.id > above)
    return session.scalars(statement.order_by(Checkpoint.id.desc())).all()


def job_evaluation(session: Session, job_id: int) -> Evaluation | None:
    """What this job measured; of a gate job's two models, the challenger's."""
    statement = select(Evaluation).where(Evaluation.job_id == job_id).order_by(Evaluation.id).limit(1)
    return session.scalars(statement).one_or_none()


@dataclass(frozen=True, kw_only=True)
class OutputLine:
    """The images that one job has published: in shards, or as files of their own."""

    job: Job
    shards: int
    images: int
    size_bytes: int
    manifest: str | None = None  # of files of their own; relative to the storage root
    shard_folder: str | None = None  # of one of the shards, as its row spells it


def list_outputs(session: Session) -> list[OutputLine]:
    """Jobs that published at least one shard, and those that have written image files, by id."""
    return sorted([*_shard_outputs(session), *_file_outputs(session)], key=lambda line: line.job.id)


def _shard_outputs(session: Session) -> list[OutputLine]:
    sums = (func.count(), func.sum(Shard.image_count), func.sum(Shard.size_bytes), func.min(Shard.folder))
    statement = select(Shard.job_id, *sums).group_by(Shard.job_id).order_by(Shard.job_id)
    rows = session.execute(statement).all()
    jobs = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(select(Shard.job_id))))}
    return [
        OutputLine(job=jobs[row[0]], shards=row[1], images=int(row[2]), size_bytes=int(row[3]), shard_folder=row[4])
        for row in rows
    ]


def _file_outputs(session: Session) -> list[OutputLine]:
    statement = (
        select(Job, Task.result)
        .join(Task, Task.job_id == Job.id)
        .where(Task.role.in_(FILE_ROLES), Task.state == State.SUCCEEDED)
    )
    return [
        OutputLine(job=job, shards=0, images=result["images"], size_bytes=result["bytes"], manifest=result["manifest"])
        for job, result in session.execute(statement)
        if not result.get("removed")
    ]


@dataclass(frozen=True, kw_only=True)
class QueueLine:
    """One queue and how many jobs it holds, by state."""

    queue: Queue
    jobs: Mapping[State, int]


def list_queues(session: Session) -> list[QueueLine]:
    """All queues by name."""
    counts: dict[str, dict[State, int]] = {}
    unfinished = select(Job.queue, Job.state, func.count()).where(Job.state.in_(ACTIVE))
    for name, state, count in session.execute(unfinished.group_by(Job.queue, Job.state)):
        counts.setdefault(name, {})[state] = count
    queues = session.scalars(select(Queue).order_by(Queue.name))
    return [QueueLine(queue=queue, jobs=counts.get(queue.name, {})) for queue in queues]

"""What people and scripts look at: jobs as `ps` lists them, one job in full, queues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db import linefacts
from db.alike import stands, stood_for
from db.ends import attempt_ends
from db.jobs import get_job
from db.moves import LARGEST_ID
from db.outputs import FILE_ROLES
from db.periods import ALWAYS, Period
from db.pipelines import Place, places_of_jobs
from db.progress import image_rate, seconds_by_stage
from db.tables import (
    Attempt,
    Checkpoint,
    CheckpointKind,
    Evaluation,
    Event,
    Job,
    Queue,
    Shard,
    Task,
    Worker,
)
from pixmill.kinds import DATASET_MAKERS
from pixmill.states import ACTIVE, TERMINAL, State

_BATCH = 5000  # jobs asked about in one statement; SQLite takes no more than 32,766 values


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs to list; empty means no restriction."""

    states: tuple[State, ...] = ()
    kinds: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None
    ids: tuple[int, ...] = ()
    queues: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    arrays: tuple[int, ...] = ()
    collapses: bool = False  # one line stands for what waits of an array
    before: int | None = None  # only ids below this one: the next page of a list that goes backwards
    submitted: Period = ALWAYS
    ended: Period = ALWAYS


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """One job with what its tasks add up to."""

    job: Job
    done: int  # images
    tasks: int
    tasks_done: int
    devices: tuple[str, ...]  # where it runs at present
    progress: Mapping[str, Any]  # of its running task, the last if several run
    rate: float | None  # images a second, of all its tasks together
    spent: Mapping[str, float]  # seconds of its tasks by stage, of a job that makes a data set
    waits_for: tuple[int, ...]  # unfinished jobs
    place: Place | None  # in a pipeline
    alike: tuple[int, ...] = ()  # indices of the jobs of its array that this line stands for, if it does


def list_jobs(session: Session, chosen: JobFilter, limit: int | None, recent: int | None = None) -> list[JobLine]:
    """Jobs by id, oldest first: the newest `limit`; with `recent`, all unfinished ones and that many finished."""
    statement, whole = _filtered(chosen), _filtered(replace(chosen, before=None))
    if chosen.collapses:  # whatever page it is
        statement = statement.where(stands(whole))
    if recent is not None:
        ended = _filtered(chosen).where(Job.state.in_(TERMINAL)).order_by(Job.id.desc()).limit(recent)
        recent_ids = ended.with_only_columns(Job.id)
        statement = statement.where(Job.state.in_(ACTIVE) | Job.id.in_(recent_ids))
    jobs = list(session.scalars(statement.order_by(Job.id.desc()).limit(limit)))
    lines = _lines(session, jobs[::-1])
    return _with_alike(session, whole, lines) if chosen.collapses else lines


def waiting_lines(session: Session, job_ids: Sequence[int]) -> list[JobLine]:
    """As `job_lines`; of jobs that stand for all of an array that wait as they do, with the indices of these."""
    return _with_alike(session, select(Job), job_lines(session, job_ids))


def _with_alike(session: Session, whole: Select[Job], lines: Sequence[JobLine]) -> list[JobLine]:
    alike = stood_for(session, whole, [line.job for line in lines])
    return [replace(line, alike=alike.get(line.job.id, ())) for line in lines]


def next_jobs(session: Session, chosen: JobFilter, after: int, limit: int) -> list[JobLine]:
    """The first `limit` jobs with an id above `after`, by id."""
    statement = _filtered(chosen).where(Job.id > after).order_by(Job.id).limit(limit)
    return _lines(session, list(session.scalars(statement)))


def job_line(session: Session, job_id: int) -> JobLine:
    """One job as `ps` shows it.  Raises NotFound."""
    return _lines(session, [get_job(session, job_id)])[0]


def job_lines(session: Session, job_ids: Sequence[int]) -> list[JobLine]:
    """These jobs as `ps` shows them, in the same order.  Raises NotFound."""
    known = [job_id for job_id in job_ids if job_id <= LARGEST_ID]
    batches = (known[first : first + _BATCH] for first in range(0, len(known), _BATCH))
    found = {job.id: job for ids in batches for job in session.scalars(select(Job).where(Job.id.in_(ids)))}
    return _lines(session, [found.get(job_id) or get_job(session, job_id) for job_id in job_ids])


@dataclass(frozen=True)
class JobHead:
    """What tells one job from another."""

    id: int
    name: str
    state: State


def chosen_jobs(session: Session, chosen: JobFilter) -> list[JobHead]:
    """All jobs that the filter lets through, by id."""
    columns = _filtered(chosen).with_only_columns(Job.id, Job.name, Job.state).order_by(Job.id)
    return [JobHead(*row) for row in session.execute(columns)]


def _filtered(chosen: JobFilter) -> Select[Job]:
    statement = select(Job).where(*chosen.submitted.bounds(Job.submitted_at), *chosen.ended.bounds(Job.finished_at))
    if chosen.states:
        statement = statement.where(Job.state.in_(chosen.states))
    if chosen.kinds:
        statement = statement.where(Job.kind.in_(chosen.kinds))
    if chosen.ids:
        statement = statement.where(Job.id.in_(chosen.ids))
    if chosen.queues:
        statement = statement.where(Job.queue.in_(chosen.queues))
    if chosen.users:
        statement = statement.where(Job.user_name.in_(chosen.users))
    if chosen.arrays:
        statement = statement.where(Job.array_id.in_(chosen.arrays))
    if chosen.before is not None:
        statement = statement.where(Job.id < chosen.before)
    for key, value in (chosen.labels or {}).items():
        statement = statement.where(Job.labels[key].as_string() == value)
    return statement


def _lines(session: Session, jobs: Sequence[Job]) -> list[JobLine]:
    batches = (jobs[first : first + _BATCH] for first in range(0, len(jobs), _BATCH))
    return [line for batch in batches for line in _batch_lines(session, batch)]


def _batch_lines(session: Session, jobs: Sequence[Job]) -> list[JobLine]:
    ids = [job.id for job in jobs]
    totals = linefacts.totals(session, ids)
    devices = linefacts.devices(session, ids)
    progress = linefacts.progress(session, ids)
    waits = linefacts.waits(session, ids)
    places = places_of_jobs(session, ids)
    spent = seconds_by_stage(session, [job.id for job in jobs if job.kind in DATASET_MAKERS])
    return [
        JobLine(
            job=job,
            done=totals[job.id][0],
            tasks=totals[job.id][1],
            tasks_done=totals[job.id][2],
            devices=tuple(devices.get(job.id, ())),
            progress=progress.get(job.id, {}),
            rate=image_rate(session, job) if job.kind in DATASET_MAKERS else progress.get(job.id, {}).get("rate"),
            spent=spent.get(job.id, {}),
            waits_for=tuple(waits.get(job.id, ())),
            place=places.get(job.id),
        )
        for job in jobs
    ]


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

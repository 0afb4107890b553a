"""Which files rows need: what garbage collection asks before it removes any, and what `doctor` looks for on the disk.

Reads only, but for the event that a collection leaves behind.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, String, cast, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.needs import texts
from db.outputs import is_removed
from db.tables.jobs import Attempt, Event, Job, Task
from db.tables.models import ModelVersion
from db.tables.published import Checkpoint, CheckpointKind, Shard
from pixmill.kinds import DATASET_MAKERS
from pixmill.states import TERMINAL, State

RUNS = "runs/"  # how every path of an attempt begins
_IS_THERE = ModelVersion.removed_at.is_(None)


@dataclass(frozen=True, kw_only=True)
class AttemptFacts:
    """One attempt, as far as its files are concerned."""

    task_id: int
    is_live: bool  # its task runs under its epoch
    is_latest: bool  # the task's newest
    has_ended: bool  # the task has


@dataclass(kw_only=True)
class JobReferences:
    """What the rows of one job need. Paths are relative to the storage root."""

    task_ids: set[int] = field(default_factory=set)
    attempts: dict[str, AttemptFacts] = field(default_factory=dict)  # by folder
    paths: set[str] = field(default_factory=set)  # files, and folders with all that is in them
    shards: dict[str, set[int]] = field(default_factory=dict)  # folder → numbers


def job_references(session: Session, job_ids: Sequence[int]) -> Mapping[int, JobReferences]:
    """What the rows of these jobs (some hundred, please) need; a job without a row is missing from the answer."""
    known = session.scalars(select(Job.id).where(Job.id.in_(job_ids)))
    found = {job_id: JobReferences() for job_id in known}
    ids = list(found)
    _add_attempts(session, found)
    checkpoints = select(Task.job_id, Checkpoint.path).join(Task, Task.id == Checkpoint.task_id)
    for job_id, path in session.execute(checkpoints.where(Task.job_id.in_(ids))):
        found[job_id].paths.add(path)
    for job_id, folder in session.execute(
        select(ModelVersion.job_id, ModelVersion.folder).where(ModelVersion.job_id.in_(ids), _IS_THERE)
    ):
        found[job_id].paths.add(folder)
    shards = select(Shard.job_id, Shard.folder, Shard.number).where(Shard.job_id.in_(ids))
    for job_id, folder, number in session.execute(shards):
        found[job_id].shards.setdefault(folder, set()).add(number)
    return found


def _add_attempts(session: Session, found: Mapping[int, JobReferences]) -> None:
    tasks = select(Task.id, Task.job_id, Task.state, Task.lease_epoch, Task.result).where(Task.job_id.in_(list(found)))
    facts = {}
    for task_id, job_id, state, epoch, result in session.execute(tasks):
        facts[task_id] = (state, epoch)
        found[job_id].task_ids.add(task_id)
        found[job_id].paths.update(path for path in texts(result) if path.startswith(RUNS))
    attempts = (
        select(Task.job_id, Attempt.task_id, Attempt.lease_epoch, Attempt.folder)
        .join(Task, Task.id == Attempt.task_id)
        .where(Task.job_id.in_(list(found)))
    )
    rows = [(*row,) for row in session.execute(attempts)]
    latest: dict[int, int] = {}
    for _job_id, task_id, epoch, _folder in rows:
        latest[task_id] = max(epoch, latest.get(task_id, 0))
    for job_id, task_id, epoch, folder in rows:
        state, current = facts[task_id]
        found[job_id].attempts[folder] = AttemptFacts(
            task_id=task_id,
            is_live=state is State.RUNNING and epoch == current,
            is_latest=epoch == latest[task_id],
            has_ended=state in TERMINAL,
        )


def foreign_paths(session: Session) -> set[str]:
    """Files and folders below runs/ that rows of another job than the folder's need; there should be none."""
    of_task = (Task, Task.id == Checkpoint.task_id)
    statements = (
        select(Checkpoint.path).join(*of_task).where(_is_foreign(Checkpoint.path, Task.job_id)),
        select(Shard.folder)
        .where(Shard.folder.like(f"{RUNS}%"), _is_foreign(Shard.folder, Shard.job_id))  # others lie in a bucket
        .distinct(),
        select(ModelVersion.folder).where(_is_foreign(ModelVersion.folder, ModelVersion.job_id), _IS_THERE),
        select(Attempt.folder).join(Task, Task.id == Attempt.task_id).where(_is_foreign(Attempt.folder, Task.job_id)),
    )
    return {path for statement in statements for path in session.scalars(statement)}


def _is_foreign(path: InstrumentedAttribute[str], job_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    return path.not_like(literal(RUNS) + cast(job_id, String) + literal("/%"))


def resume_states(session: Session) -> tuple[int, int]:
    """How many checkpoints to resume from belong to jobs that have succeeded, and their bytes."""
    statement = (
        select(func.count(), func.coalesce(func.sum(Checkpoint.size_bytes), 0))
        .join(Task, Task.id == Checkpoint.task_id)
        .join(Job, Job.id == Task.job_id)
        .where(Job.state == State.SUCCEEDED, Checkpoint.kind == CheckpointKind.LAST)
    )
    count, size_bytes = session.execute(statement).one()
    return int(count), int(size_bytes)


def checkpoints_after(session: Session, row_id: int, limit: int) -> Sequence[Checkpoint]:
    """The next checkpoints by id: a page of all."""
    return session.scalars(select(Checkpoint).where(Checkpoint.id > row_id).order_by(Checkpoint.id).limit(limit)).all()


def shards_after(session: Session, row_id: int, limit: int) -> Sequence[Shard]:
    """The next shards by id: a page of all."""
    return session.scalars(select(Shard).where(Shard.id > row_id).order_by(Shard.id).limit(limit)).all()


def versions_after(session: Session, row_id: int, limit: int) -> Sequence[ModelVersion]:
    """The next model versions by id: a page of all that were not removed."""
    statement = select(ModelVersion).where(ModelVersion.id > row_id, _IS_THERE).order_by(ModelVersion.id).limit(limit)
    return session.scalars(statement).all()


def outputs_after(session: Session, job_id: int, limit: int) -> Sequence[int]:
    """The next finished jobs with a data set by id: a page of all."""
    statement = (
        select(Job.id)
        .where(Job.id > job_id, Job.kind.in_(DATASET_MAKERS), Job.state == State.SUCCEEDED, ~is_removed())
        .order_by(Job.id)
        .limit(limit)
    )
    return session.scalars(statement).all()


def still_there(session: Session, table: type[Checkpoint | Shard | ModelVersion], ids: Iterable[int]) -> set[int]:
    """Which of these rows have not been deleted, or their files removed, meanwhile."""
    statement = select(table.id).where(table.id.in_(list(ids)))
    if table is ModelVersion:
        statement = statement.where(_IS_THERE)
    return set(session.scalars(statement))


def record_collection(session: Session, *, actor: str, detail: str) -> None:
    """Leave an event that says who had files removed, and how many."""
    session.add(Event(actor=actor, action="collect_garbage", detail=detail))

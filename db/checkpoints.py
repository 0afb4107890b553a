"""Training states of jobs that have ended: which ones a policy lets go, why the others stay, and the act itself.

One file may be the last state and the best one: it goes with the last row that names it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, select
from sqlalchemy.orm import Session

from db.moves import add_event, lock_jobs
from db.needs import Need, Verdict
from db.tables.jobs import Job, Task
from db.tables.models import Model, ModelVersion
from db.tables.published import Checkpoint, CheckpointKind
from db.workers import database_time
from pixmill.retention import Policy
from pixmill.states import TERMINAL, State

FORGOTTEN = "forget_checkpoints"  # the event of a job whose training states went


@dataclass(frozen=True, kw_only=True)
class CheckpointVerdict(Verdict):
    """One file with a training state, with every reason why it stays; or, without any, why nothing keeps it."""

    path: str  # relative to the storage root
    job_id: int
    kinds: tuple[CheckpointKind, ...]
    images_seen: int
    ended_at: datetime | None  # its job


def judge_checkpoints(
    session: Session, policy: Policy, job_ids: Sequence[int] | None = None
) -> list[CheckpointVerdict]:
    """Judge the training states of all jobs, or of some: by job, the oldest first."""
    seconds = policy.checkpoint_seconds
    assert seconds is not None, "without a rule for training states all of them stay"
    since = database_time(session) - timedelta(seconds=seconds)
    columns = (
        Checkpoint.id,
        Checkpoint.path,
        Checkpoint.kind,
        Checkpoint.images_seen,
        Task.checkpoint_floor,
        Job.id.label("job_id"),
        Job.state,
        Job.finished_at,
        ModelVersion.version,
        Model.name.label("model"),
    )
    # The state that db.registry.training_state finds for a version that stands.
    standing = and_(
        ModelVersion.job_id == Job.id,
        ModelVersion.images_seen == Checkpoint.images_seen,
        ModelVersion.removed_at.is_(None),
    )
    statement = (
        select(*columns)
        .join(Task, Task.id == Checkpoint.task_id)
        .join(Job, Job.id == Task.job_id)
        .outerjoin(ModelVersion, standing)
        .outerjoin(Model, Model.id == ModelVersion.model_id)
    )
    if job_ids is not None:
        statement = statement.where(Job.id.in_(list(job_ids)))
    files: dict[str, list[Any]] = {}
    for row in session.execute(statement.order_by(Job.id, Checkpoint.id)):
        files.setdefault(row.path, []).append(row)
    return [_judge(rows, policy, since) for rows in files.values()]


def _judge(rows: Sequence[Any], policy: Policy, since: datetime) -> CheckpointVerdict:
    first = rows[0]
    kept = tuple(dict.fromkeys(need for row in rows for need in _needs(row, policy, since)))
    missed = f"job {first.job_id} {_ended(first.state)} more than {policy.checkpoints} ago"
    if first.state is not State.SUCCEEDED:
        missed += ", and a retry begins elsewhere"
    return CheckpointVerdict(
        path=first.path,
        job_id=first.job_id,
        kinds=tuple(sorted({row.kind for row in rows})),
        images_seen=first.images_seen,
        ended_at=first.finished_at,
        kept=kept,
        missed=() if kept else (missed,),
    )


def _needs(row: Any, policy: Policy, since: datetime) -> Iterator[Need]:
    if row.state not in TERMINAL or row.finished_at is None:
        yield Need("job", f"train job {row.job_id} is {row.state}")
        return
    if row.state is not State.SUCCEEDED:  # what has succeeded cannot be retried
        if row.kind is CheckpointKind.BEST:
            yield Need("retry", f"pixmill job retry {row.job_id} --from best begins with it")
        elif row.id > row.checkpoint_floor:
            yield Need("retry", f"pixmill job retry {row.job_id} goes on from it")
    if row.version is not None:
        yield Need("version", f"pixmill submit train --from {row.model}@{row.version} begins with it")
    if row.finished_at >= since:
        yield Need("recent", f"job {row.job_id} {_ended(row.state)} within {policy.checkpoints}")


def _ended(state: State) -> str:
    return "was cancelled" if state is State.CANCELLED else state.value


def forget_checkpoints(
    session: Session, job_ids: Sequence[int], paths: Collection[str], policy: Policy, *, actor: str
) -> list[str]:
    """Delete the rows of those of these training states that nothing keeps any more at this moment.

    The rows of the jobs are locked, so that none is retried meanwhile. Gives the files that may go.
    """
    known = lock_jobs(session, sorted(job_ids))
    verdicts = judge_checkpoints(session, policy, list(known))
    going = [verdict for verdict in verdicts if verdict.goes and verdict.path in paths]
    for job_id in sorted({verdict.job_id for verdict in going}):
        mine = [verdict.path for verdict in going if verdict.job_id == job_id]
        of_job = select(Task.id).where(Task.job_id == job_id)
        session.execute(delete(Checkpoint).where(Checkpoint.task_id.in_(of_job), Checkpoint.path.in_(mine)))
        detail = f"retention, {policy}: {', '.join(mine)}"
        add_event(session, actor=actor, action=FORGOTTEN, detail=detail, job_id=job_id)
    return [verdict.path for verdict in going]

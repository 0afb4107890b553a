"""What became of a line of models: the verdicts on its versions, and the images that were made with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.needs import may_name, names_of
from db.outputs import is_removed
from db.tables.jobs import Job, Task
from db.tables.models import ModelVersion
from db.tables.published import Shard
from pixmill.kinds import DATASET_MAKERS
from pixmill.pipelines import GATE
from pixmill.states import State

MOST_VERDICTS = 200  # the newest
MOST_USES = 500


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one gate job has said."""

    job_id: int
    at: datetime | None
    spec: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Use:
    """A job that makes images with versions of the line."""

    job_id: int
    kind: str
    name: str
    state: State
    at: datetime  # of its submit
    versions: Sequence[int]
    images: int
    size_bytes: int
    is_removed: bool


def verdicts_on(session: Session, model: str, versions: Sequence[ModelVersion]) -> list[Verdict]:
    """The gate jobs that have judged a version of this model, or held another one against it; the oldest first."""
    statement = (
        select(Job.id, Job.finished_at, Job.spec, Task.result)
        .join(Task, Task.job_id == Job.id)
        .where(Job.kind == GATE, Job.state == State.SUCCEEDED, may_name(versions))
        .order_by(Job.id.desc())
        .limit(MOST_VERDICTS)
    )
    found = [
        Verdict(job_id=job_id, at=at, spec=spec, result=result)
        for job_id, at, spec, result in session.execute(statement)
        if result and model in {str(result[side]).partition("@")[0] for side in ("model", "against")}
    ]
    return found[::-1]


def uses_of(session: Session, versions: Sequence[ModelVersion]) -> list[Use]:
    """The jobs that make images with one of these versions, the newest first."""
    numbers = {name: version.version for version in versions for name in names_of(version)}
    statement = (
        select(Job.id, Job.kind, Job.name, Job.state, Job.submitted_at, Job.spec, is_removed())
        .where(Job.kind.in_(DATASET_MAKERS), may_name(versions))
        .order_by(Job.id.desc())
        .limit(MOST_USES)
    )
    named = [(row, _numbers(numbers, row[5])) for row in session.execute(statement)]
    sums = _sums(session, [row[0] for row, found in named if found])
    return list(_uses(named, sums))


def _uses(named: Sequence[tuple[Any, Sequence[int]]], sums: Mapping[int, tuple[int, int]]) -> Iterator[Use]:
    for (job_id, kind, name, state, at, _spec, removed), found in named:
        if found:
            images, size_bytes = sums.get(job_id, (0, 0))
            yield Use(
                job_id=job_id,
                kind=kind,
                name=name,
                state=state,
                at=at,
                versions=found,
                images=images,
                size_bytes=size_bytes,
                is_removed=bool(removed),
            )


def _numbers(versions: Mapping[str, int], spec: Mapping[str, Any]) -> list[int]:
    """The versions that a job makes images with; those that only judge them are none."""
    makers = [spec["model"], *(spec.get("further_models") or ())]
    return sorted({versions[name] for name in makers if name in versions})


def _sums(session: Session, job_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Job → images and bytes of its shards."""
    sums = (func.sum(Shard.image_count), func.sum(Shard.size_bytes))
    statement = select(Shard.job_id, *sums).where(Shard.job_id.in_(job_ids)).group_by(Shard.job_id)
    return {job_id: (int(images), int(size_bytes)) for job_id, images, size_bytes in session.execute(statement)}

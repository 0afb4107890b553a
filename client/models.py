"""Versions of models: lists of them, one in full with what was measured of it, and the same as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables import Evaluation, Job, ModelVersion


@dataclass(frozen=True)
class Versions:
    """Versions, each with its aliases, as they are at a moment."""

    found: Sequence[tuple["ModelVersion", Sequence[str]]]
    at: datetime


def read_versions(session: "Session", name: str | None, *, removed: bool = False) -> Versions:
    """The versions of one model or of all, the newest of each first; those that were removed too, if wanted."""
    from db.aliases import aliases_by_version
    from db.registry import list_versions
    from db.workers import database_time

    aliases = aliases_by_version(session)
    rows = list_versions(session, name, removed=removed)
    return Versions([(row, aliases.get((row.model_id, row.version), [])) for row in rows], database_time(session))


@dataclass(frozen=True)
class ModelDetails:
    """A version, and each measurement with the job that made it, the newest first."""

    version: "ModelVersion"
    measured: Sequence[tuple["Evaluation", "Job"]]
    aliases: Sequence[str] = ()


def read_model(session: "Session", name: str) -> ModelDetails:
    """Read one model in full.  Raises NotFound, or Conflict while it is being trained."""
    from db.aliases import aliases_by_version
    from db.jobs import get_job
    from db.registry import list_evaluations, present_version

    version = present_version(session, name)
    found = list_evaluations(session, version.id)
    measured = [(evaluation, get_job(session, evaluation.job_id)) for evaluation in found]
    aliases = aliases_by_version(session).get((version.model_id, version.version), [])
    return ModelDetails(version, measured, aliases)


def measurements_json(details: ModelDetails) -> list[dict[str, Any]]:
    """The measurements for machines."""
    return [
        {
            "job_id": job.id,
            "kind": job.kind,
            "output_job_id": evaluation.output_job_id,
            "judge": job.spec.get("judge"),
            "dataset": {"name": evaluation.dataset.name, "fingerprint": evaluation.dataset.fingerprint},
            "count": evaluation.image_count,
            "metrics": evaluation.metrics,
            "created_at": evaluation.created_at,
        }
        for evaluation, job in details.measured
    ]

"""Versions of models: lists of them, one in full with what was measured of it, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pixmill.lineage import PARENT

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables.jobs import Job
    from db.tables.models import Evaluation, ModelVersion


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set by its content."""

    name: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Model:
    """One version of a model."""

    model: str  # NAME@VERSION
    name: str
    version: int
    aliases: tuple[str, ...]  # that stand for it now
    frozen: bool  # whether promotions of the model are refused
    preset: str  # "vae", "sngan" …
    job_id: int  # that trained it
    folder: str  # of its files, below the storage root
    digest: str  # SHA-256 of its parts
    image_size: int  # pixels, square
    channels: int  # 1 gray, 3 RGB
    classes: tuple[str, ...]
    images_seen: int
    metric_name: str | None
    metric_value: float | None
    lineage: Mapping[str, Any]  # what it was made from: seed, source, device …
    parent: str | None  # that it began with
    dataset: Data
    created_at: datetime
    removed_at: datetime | None  # since then its files are gone

    @classmethod
    def of(cls, row: "ModelVersion", aliases: Sequence[str]) -> "Model":
        """The version as the database has it."""
        same = ("version", "preset", "job_id", "folder", "digest", "image_size", "channels", "images_seen")
        more = ("metric_name", "metric_value", "lineage", "created_at", "removed_at")
        return cls(
            **{name: getattr(row, name) for name in (*same, *more)},
            model=row.reference,
            name=row.model.name,
            aliases=tuple(aliases),
            frozen=row.model.frozen,
            classes=tuple(map(str, row.classes)),
            parent=row.lineage.get(PARENT),
            dataset=Data(name=row.dataset.name, fingerprint=row.dataset.fingerprint),
        )

    def to_json(self) -> dict[str, Any]:
        """The version as JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one job has measured of a model; each metric is a mapping with name, value, n, better and its controls."""

    job_id: int
    kind: str  # of the job
    output_job_id: int  # whose images were measured
    judge: str | None
    dataset: Data
    count: int  # images
    metrics: Sequence[Mapping[str, Any]]
    created_at: datetime

    @classmethod
    def of(cls, row: "Evaluation", job: "Job") -> "Measurement":
        """The measurement as the database has it."""
        return cls(
            job_id=job.id,
            kind=job.kind,
            output_job_id=row.output_job_id,
            judge=job.spec.get("judge"),
            dataset=Data(name=row.dataset.name, fingerprint=row.dataset.fingerprint),
            count=row.image_count,
            metrics=row.metrics,
            created_at=row.created_at,
        )

    def to_json(self) -> dict[str, Any]:
        """The measurement as JSON."""
        return asdict(self)


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
    from db.finding import get_job
    from db.registry import list_evaluations, present_version

    version = present_version(session, name)
    found = list_evaluations(session, version.id)
    measured = [(evaluation, get_job(session, evaluation.job_id)) for evaluation in found]
    aliases = aliases_by_version(session).get((version.model_id, version.version), [])
    return ModelDetails(version, measured, aliases)


def version_json(version: "ModelVersion", aliases: Sequence[str]) -> dict[str, Any]:
    """A version for machines."""
    return Model.of(version, aliases).to_json()


def measurements_json(details: ModelDetails) -> list[dict[str, Any]]:
    """The measurements for machines."""
    return [Measurement.of(*pair).to_json() for pair in details.measured]

"""Data sets, model lines and their immutable versions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload

from db.engine import insert_absent
from db.jobs import ended, get_job
from db.tables import Dataset, Evaluation, Job, Model, ModelVersion
from pixmill.errors import Conflict, NotFound, UserError
from pixmill.names import suggestion

_REFERENCE = re.compile(r"job:(?P<job>[0-9]{1,18})|(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:@(?P<version>[0-9]{1,9}))?")


@dataclass(frozen=True)
class ModelReference:
    """A parsed `NAME`, `NAME@VERSION` or `job:ID`."""

    name: str | None
    version: int | None
    job_id: int | None


def parse_reference(text: str) -> ModelReference:
    """Read a model reference.  Raises UserError.

    >>> parse_reference("digits@3")
    ModelReference(name='digits', version=3, job_id=None)
    >>> parse_reference("job:12")
    ModelReference(name=None, version=None, job_id=12)
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise UserError(f"{text!r} does not name a model", hint="write NAME, NAME@VERSION or job:ID of a train job")
    version, job = match["version"], match["job"]
    return ModelReference(match["name"], int(version) if version else None, int(job) if job else None)


def resolve_model(session: Session, text: str) -> ModelVersion | Job:
    """The version that `text` names at this moment, or the train job that will publish it.

    Raises NotFound, UserError (a job that trains nothing) or Conflict (a train job that ended without a model).
    """
    reference = parse_reference(text)
    if reference.job_id is not None:
        return _model_of_job(session, reference.job_id)
    statement = _versions().where(Model.name == reference.name).order_by(ModelVersion.version.desc()).limit(1)
    if reference.version is not None:
        statement = statement.where(ModelVersion.version == reference.version)
    found = session.scalars(statement).one_or_none()
    if found is None:
        names = session.scalars(select(Model.name)).all()
        hint = suggestion(reference.name or "", names) if names else "no model is trained yet: pixmill submit train …"
        if reference.name in names:
            hint = f"pixmill model ls --name {reference.name}"
        raise NotFound(f"there is no model {text!r}", hint=hint)
    return found


def _model_of_job(session: Session, job_id: int) -> ModelVersion | Job:
    job = get_job(session, job_id)
    if job.kind != "train":
        raise UserError(f"job {job_id} is a {job.kind} job; only train jobs make models")
    version = version_of_job(session, job_id)
    if version is not None:
        return version
    if job.state.is_terminal:
        raise Conflict(f"train job {job_id} has {ended(job.state)} without a model", hint=f"pixmill job show {job_id}")
    return job


def version_of_job(session: Session, job_id: int) -> ModelVersion | None:
    """The version that this train job published."""
    return session.scalars(_versions().where(ModelVersion.job_id == job_id)).one_or_none()


def list_versions(session: Session, name: str | None = None) -> Sequence[ModelVersion]:
    """Versions by line and number, newest first within a line."""
    statement = _versions().order_by(Model.name, ModelVersion.version.desc())
    if name is not None:
        statement = statement.where(Model.name == name)
    return session.scalars(statement).all()


def list_evaluations(session: Session, version_id: int) -> Sequence[Evaluation]:
    """What was measured of a version, newest first."""
    statement = (
        select(Evaluation).where(Evaluation.model_version_id == version_id).options(joinedload(Evaluation.dataset))
    )
    return session.scalars(statement.order_by(Evaluation.id.desc())).all()


def _versions() -> Select[ModelVersion]:
    return select(ModelVersion).join(Model).options(joinedload(ModelVersion.model), joinedload(ModelVersion.dataset))


def ensure_dataset(session: Session, name: str, fingerprint: str, description: Mapping[str, Any]) -> Dataset:
    """The row of the data set with this fingerprint, added if it is new."""
    insert_absent(session, Dataset, {"name": name, "fingerprint": fingerprint, "description": dict(description)})
    return session.scalars(select(Dataset).where(Dataset.fingerprint == fingerprint)).one()


def add_version(session: Session, name: str, version: ModelVersion) -> ModelVersion:
    """Publish `version` as the next one of the line `name`."""
    # The line's row is locked, so that two train jobs of one line cannot take the same number.
    insert_absent(session, Model, {"name": name})
    line = session.scalars(select(Model).where(Model.name == name).with_for_update()).one()
    latest = session.scalar(select(func.max(ModelVersion.version)).where(ModelVersion.model_id == line.id))
    version.model_id, version.version = line.id, (latest or 0) + 1
    session.add(version)
    session.flush()
    return version

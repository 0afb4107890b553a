"""Data sets, model lines and their immutable versions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload

from db.engine import insert_absent
from db.finding import get_job
from db.jobs import ended
from db.tables.jobs import Job, Task
from db.tables.models import Dataset, Evaluation, Model, ModelAlias, ModelEvent, ModelVersion
from db.tables.published import Checkpoint, CheckpointKind
from db.types import CORRUPT_HINT
from pixmill.errors import Conflict, CorruptRow, NotFound, UserError
from pixmill.names import did_you_mean, suggestion
from pixmill.states import State
from pixmill.times import write_time

VERSION_REMOVED = "remove_version"  # the event of a version whose files went

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
ALIAS = r"[A-Za-z][A-Za-z0-9._-]{0,63}"  # never a number: that is a version
_AFTER_AT = rf"(?P<version>[0-9]{{1,9}})|(?P<alias>{ALIAS})"
_REFERENCE = re.compile(rf"job:(?P<job>[0-9]{{1,18}})|(?P<name>{NAME})(?:@(?:{_AFTER_AT}))?")


@dataclass(frozen=True)
class ModelReference:
    """A parsed `NAME`, `NAME@VERSION`, `NAME@ALIAS` or `job:ID`."""

    name: str | None
    version: int | None
    job_id: int | None
    alias: str | None = None


def parse_reference(text: str) -> ModelReference:
    """Read a model reference.  Raises UserError.

    >>> parse_reference("digits@3")
    ModelReference(name='digits', version=3, job_id=None, alias=None)
    >>> parse_reference("digits@champion").alias
    'champion'
    >>> parse_reference("job:12").job_id
    12
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise UserError(
            f"{text!r} does not name a model", hint="write NAME, NAME@VERSION, NAME@ALIAS or job:ID of a train job"
        )
    version, job = match["version"], match["job"]
    return ModelReference(match["name"], int(version) if version else None, int(job) if job else None, match["alias"])


def resolve_model(session: Session, text: str) -> ModelVersion | Job:
    """The version that `text` names at this moment, or the train job that will publish it.

    Raises NotFound (also for a version that was removed), UserError (a job that trains nothing) or Conflict (a train
    job that ended without a model).
    """
    reference = parse_reference(text)
    if reference.job_id is not None:
        return _model_of_job(session, reference.job_id)
    found = session.scalars(_named(reference)).one_or_none()
    if found is None:
        raise _unknown(session, reference, text)
    _require_present(session, found)
    return found


def present_version(session: Session, text: str) -> ModelVersion:
    """The version that `text` names at this moment.  Raises as `resolve_model`, and Conflict while it is trained."""
    found = resolve_model(session, text)
    if not isinstance(found, ModelVersion):
        raise Conflict(f"train job {found.id} has no model yet", hint=f"pixmill wait {found.id}")
    return found


def find_any_version(session: Session, name: str, version: int) -> ModelVersion | None:
    """The version of that number, also one that was removed."""
    statement = _versions().where(Model.name == name, ModelVersion.version == version)
    return session.scalars(statement).one_or_none()


def _named(reference: ModelReference) -> Select[ModelVersion]:
    statement = _versions().where(Model.name == reference.name)
    if reference.version is not None:
        return statement.where(ModelVersion.version == reference.version)
    if reference.alias is not None:
        same = (ModelAlias.model_id == ModelVersion.model_id) & (ModelAlias.version == ModelVersion.version)
        return statement.join(ModelAlias, same).where(ModelAlias.name == reference.alias)
    return statement.where(ModelVersion.removed_at.is_(None)).order_by(ModelVersion.version.desc()).limit(1)


def _unknown(session: Session, reference: ModelReference, text: str) -> NotFound:
    name = reference.name or ""
    names = session.scalars(select(Model.name)).all()
    if name not in names:
        hint = suggestion(name, names) if names else "no model is trained yet: pixmill submit train …"
        return NotFound(f"there is no model {text!r}", hint=hint)
    if reference.alias is None:
        return NotFound(f"there is no model {text!r}", hint=f"pixmill model ls --name {name}")
    known = session.scalars(select(ModelAlias.name).join(Model).where(Model.name == name)).all()
    close = did_you_mean(reference.alias, known)
    set_it = "pixmill model promote, or model alias set, gives it one"
    hint = f"did you mean {name}@{close}?" if close else f"it has {', '.join(sorted(known))}" if known else set_it
    return NotFound(f"model {name} has no alias {reference.alias!r}", hint=hint)


def _require_present(session: Session, version: ModelVersion) -> None:
    if version.removed_at is None:
        return
    event = session.scalars(
        select(ModelEvent)
        .where(ModelEvent.model_id == version.model_id, ModelEvent.action == VERSION_REMOVED)
        .where(ModelEvent.from_version == version.version)
    ).one()
    why = f": {event.reason}" if event.reason else ""
    raise NotFound(
        f"model {version.reference} was removed at {write_time(version.removed_at)} by {event.actor}{why}",
        hint=f"train it again: pixmill job show {version.job_id} --spec | pixmill submit -f -",
    )


def _model_of_job(session: Session, job_id: int) -> ModelVersion | Job:
    job = get_job(session, job_id)
    if job.kind != "train":
        raise UserError(f"job {job_id} is a {job.kind} job; only train jobs make models")
    version = version_of_job(session, job_id)
    if version is not None:
        _require_present(session, version)
        return version
    if job.state.is_terminal:
        why = f": {job.reason}: {job.message}" if job.state is State.SUCCEEDED and job.reason else ""
        raise Conflict(
            f"train job {job_id} has {ended(job.state)} without a model{why}", hint=f"pixmill job show {job_id}"
        )
    return job


def version_of_job(session: Session, job_id: int) -> ModelVersion | None:
    """The version that this train job published."""
    return session.scalars(_versions().where(ModelVersion.job_id == job_id)).one_or_none()


def training_state(session: Session, version: ModelVersion) -> Checkpoint | None:
    """The published state of the training that gave a version, as it was when it gave it; None: there is none."""
    statement = (
        select(Checkpoint)
        .join(Task, Task.id == Checkpoint.task_id)
        .where(Task.job_id == version.job_id, Checkpoint.images_seen == version.images_seen)
        .order_by(Checkpoint.kind == CheckpointKind.LAST, Checkpoint.id.desc())
        .limit(1)
    )
    return session.scalars(statement).one_or_none()


def list_versions(session: Session, name: str | None = None, *, removed: bool = False) -> Sequence[ModelVersion]:
    """Versions by line and number, newest first within a line; those that were removed too, if asked for."""
    statement = _versions().order_by(Model.name, ModelVersion.version.desc())
    if not removed:
        statement = statement.where(ModelVersion.removed_at.is_(None))
    if name is not None:
        statement = statement.where(Model.name == name)
    return session.scalars(statement).all()


def get_model(session: Session, name: str) -> Model:
    """The model line of that name.  Raises NotFound."""
    found = session.scalars(select(Model).where(Model.name == name)).one_or_none()
    if found is None:
        raise _unknown(session, ModelReference(name, None, None), name)
    return found


def list_evaluations(session: Session, version_id: int) -> Sequence[Evaluation]:
    """What was measured of a version, newest first."""
    statement = (
        select(Evaluation).where(Evaluation.model_version_id == version_id).options(joinedload(Evaluation.dataset))
    )
    found = session.scalars(statement.order_by(Evaluation.id.desc())).all()
    if any(row.dataset is None for row in found):
        raise CorruptRow(f"an evaluation of model version {version_id} is of no data set", hint=CORRUPT_HINT)
    return found


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

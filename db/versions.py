"""Versions of models that go when nobody needs them: the row stays, with lineage and figures, and the files go."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.aliases import Deed, Move, add_model_event, locked_version
from db.needs import needs_of
from db.registry import VERSION_REMOVED, parse_reference
from db.tables.models import Model, ModelVersion
from db.types import now
from pixmill.errors import Conflict

SHOWN_USERS = 5


@dataclass(frozen=True)
class Forgotten:
    """A version whose files may go."""

    name: str  # of its model
    reference: str  # NAME@VERSION
    folder: str


def forget_version(session: Session, text: str, deed: Deed) -> Forgotten:
    """Mark a version as removed, so that its files may go.

    Raises NotFound, UserError for a name without a version, and Conflict when somebody needs it.
    """
    version = locked_version(session, text)
    # A submit that has just chosen it holds this row until its job can be seen here.
    session.execute(select(ModelVersion.id).where(ModelVersion.id == version.id).with_for_update())
    forgotten = Forgotten(version.model.name, version.reference, version.folder)
    users = [need.text for need in needs_of(session, [version])[version.id]]
    if users:
        more = f"; and {len(users) - SHOWN_USERS} more" if len(users) > SHOWN_USERS else ""
        raise Conflict(
            f"model {version.reference} is needed: {'; '.join(users[:SHOWN_USERS])}{more}", hint="end that first"
        )
    mark_removed(session, version, deed)
    return forgotten


def mark_removed(session: Session, version: ModelVersion, deed: Deed) -> None:
    """Let the files of a version go that nobody needs; its model's row is locked."""
    session.execute(update(ModelVersion).where(ModelVersion.id == version.id).values(removed_at=now()))
    add_model_event(session, version.model_id, VERSION_REMOVED, deed, Move(None, version.version, None))


def hold_versions(session: Session, references: Iterable[str], *, hint: str | None = None) -> None:
    """Keep the versions that jobs name from being removed until the transaction ends.

    Raises Conflict when one was removed since it was chosen; `hint` says what to do then.
    """
    for text in sorted(set(references)):
        reference = parse_reference(text)
        if reference.job_id is not None:
            meant = ModelVersion.job_id == reference.job_id
        elif reference.version is not None:
            meant = (Model.name == reference.name) & (ModelVersion.version == reference.version)
        else:
            continue
        statement = select(ModelVersion.id, ModelVersion.removed_at).join(Model).where(meant)
        statement = statement.with_for_update(read=True, key_share=True, of=ModelVersion)
        found = session.execute(statement).one_or_none()
        if found is not None and found.removed_at is not None:
            raise Conflict(f"model {text} was removed meanwhile", hint=hint or "pixmill model ls")

"""Data sets under names that operators gave them: add, find, remove, and what a job is given of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from db.engine import insert_absent
from db.tables.jobs import Event
from db.tables.models import RegisteredDataset
from db.types import now
from pixmill.datasets import SHOWN_DIGITS, DatasetReference, PinnedDataset
from pixmill.errors import Conflict, NotFound
from pixmill.names import suggestion

_TOLD = ("source", "image_size", "channels", "image_count", "content_fingerprint")


class Registration(StrEnum):
    """What became of a request to register a data set."""

    ADDED = "added"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, kw_only=True)
class NewDataset:
    """A data set that was read, to be remembered under a name."""

    name: str
    source: str
    on_bad_image: str
    description: Mapping[str, Any]  # imagemodels.data.ImageDataset.describe
    user_name: str

    @property
    def columns(self) -> dict[str, Any]:
        """What decides whether two registrations are the same."""
        described = self.description
        return {
            "source": self.source,
            "image_size": described["image_size"],
            "channels": described["channels"],
            "on_bad_image": self.on_bad_image,
            "image_count": described["images"],
            "fingerprint": described["fingerprint"],
            "content_fingerprint": described["content_fingerprint"],
        }


def register_dataset(session: Session, new: NewDataset, *, replace: bool = False) -> Registration:
    """Remember a data set under its name.

    Raises Conflict when the name stands for other data, or for the same read in another way, unless `replace`.
    """
    known = _locked(session, new.name)
    is_new = known is None and insert_absent(session, RegisteredDataset, _values(new))
    # Another command may have taken the name in between: then this row is that one's.
    row = known or _locked(session, new.name)
    assert row is not None
    differences = [key for key, value in new.columns.items() if getattr(row, key) != value]
    if differences and not replace:
        hint = f"choose another name, or add --replace; jobs that were submitted keep what {new.name} was"
        raise Conflict(f"data set {new.name} is registered as {_told(row)}; this is {_told(new)}", hint=hint)
    if differences:
        values = {**_values(new), "added_at": now()}
        session.execute(update(RegisteredDataset).where(RegisteredDataset.id == row.id).values(**values))
        _note(session, "replace_dataset", new.user_name, new.name, new.columns)
        return Registration.REPLACED
    if not is_new:
        return Registration.UNCHANGED
    _note(session, "add_dataset", new.user_name, new.name, new.columns)
    return Registration.ADDED


def _locked(session: Session, name: str) -> RegisteredDataset | None:
    return session.scalars(
        select(RegisteredDataset).where(RegisteredDataset.name == name).with_for_update()
    ).one_or_none()


def _values(new: NewDataset) -> dict[str, Any]:
    return {
        "name": new.name,
        "description": dict(new.description),
        "user_name": new.user_name,
        "added_at": now(),
        **new.columns,
    }


def _told(data: RegisteredDataset | NewDataset) -> str:
    columns = data.columns if isinstance(data, NewDataset) else {key: getattr(data, key) for key in _TOLD}
    side, fingerprint = columns["image_size"], columns["content_fingerprint"][:SHOWN_DIGITS]
    return (
        f"{columns['source']}, {columns['image_count']:,} images of {side} × {side} × {columns['channels']}, "
        f"fingerprint {fingerprint}"
    )


def _note(
    session: Session, action: str, actor: str, name: str, columns: Mapping[str, Any], why: str | None = None
) -> None:
    reason = f": {why}" if why else ""
    told = f"{name}: {columns['source']} {columns['content_fingerprint']}{reason}"
    session.add(Event(actor=actor, action=action, detail=told))


def registered_datasets(session: Session) -> Sequence[RegisteredDataset]:
    """All registered data sets by name."""
    return session.scalars(select(RegisteredDataset).order_by(RegisteredDataset.name)).all()


def registered_dataset(session: Session, name: str) -> RegisteredDataset:
    """The data set of that name.  Raises NotFound."""
    row = session.scalars(select(RegisteredDataset).where(RegisteredDataset.name == name)).one_or_none()
    if row is None:
        names = session.scalars(select(RegisteredDataset.name)).all()
        hint = suggestion(name, names) if names else "none is registered: pixmill dataset add NAME SOURCE"
        raise NotFound(f"no data set is registered as {name!r}", hint=hint)
    return row


def remove_dataset(session: Session, name: str, *, user_name: str, why: str | None = None) -> None:
    """Forget a name; images, jobs and models stay as they are.  Raises NotFound."""
    row = registered_dataset(session, name)
    _note(session, "remove_dataset", user_name, name, {key: getattr(row, key) for key in _TOLD}, why)
    session.execute(delete(RegisteredDataset).where(RegisteredDataset.id == row.id))


def pin_dataset(session: Session, reference: DatasetReference) -> PinnedDataset:
    """What a job is given of the data set that a reference names.

    Raises NotFound, or Conflict when the reference asks for a fingerprint that the name does not stand for any more.
    """
    row = registered_dataset(session, reference.name)
    if reference.pin is not None and not row.content_fingerprint.startswith(reference.pin):
        raise Conflict(
            f"data set {row.name} stands for other data now: fingerprint {row.content_fingerprint[:SHOWN_DIGITS]}, "
            f"asked for was {reference.pin}",
            hint=f"write {row.name} alone for what it stands for now: pixmill dataset show {row.name}",
        )
    return PinnedDataset(
        name=row.name,
        source=row.source,
        image_size=row.image_size,
        channels=row.channels,
        on_bad_image=row.on_bad_image,
        images=row.image_count,
        content_fingerprint=row.content_fingerprint,
    )

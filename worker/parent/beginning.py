"""What a train task begins with, and the data that its own are compared with, as the database knows them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from db.aliases import Deed, Move, add_model_event
from db.jobs import explain_success
from db.leases import Lease
from db.moves import add_event
from db.registry import find_any_version, parse_reference, resolve_model, training_state
from db.tables.models import ModelVersion
from db.tables.published import Checkpoint
from pixmill.datasets import AGAINST_KEY
from pixmill.errors import Conflict
from pixmill.lineage import DATA, PARENT, images_learnt
from worker.assignment import DataInput, StartInput, StoredFile


def stored_file(row: Checkpoint) -> StoredFile:
    """A published state as a device process needs it."""
    return StoredFile(path=row.path, sha256=row.sha256, size_bytes=row.size_bytes)


def beginning_inputs(session: Session, lease: Lease) -> dict[str, Any]:
    """What an assignment has of the model that training begins with.  Raises NotFound or Conflict when it is gone."""
    reference = lease.spec.get("start_from")
    if reference is None:
        return {"before": _data_of(_any_version(session, lease.params.get(AGAINST_KEY)))}
    version = resolve_model(session, reference)
    if not isinstance(version, ModelVersion):
        raise Conflict(f"train job {version.id} has not published its model")
    state = training_state(session, version)
    if state is None:
        raise Conflict(f"model {version.model.name}@{version.version} has no training state to begin with")
    start = StartInput(
        reference=f"{version.model.name}@{version.version}",
        folder=version.folder,
        digest=version.digest,
        image_size=version.image_size,
        channels=version.channels,
        classes=tuple(version.classes),
        images=images_learnt(version.lineage, version.images_seen),
        state=stored_file(state),
    )
    return {"start": start, "before": _data_of(version)}


def _any_version(session: Session, text: str | None) -> ModelVersion | None:
    """The version, also when its files are gone: of its data, the row tells."""
    if text is None:
        return None
    reference = parse_reference(text)
    assert reference.name is not None
    assert reference.version is not None
    return find_any_version(session, reference.name, reference.version)


def _data_of(version: ModelVersion | None) -> DataInput | None:
    if version is None:
        return None
    data = version.lineage.get(DATA) or {}
    return DataInput(
        reference=f"{version.model.name}@{version.version}",
        name=version.dataset.name,
        fingerprint=version.dataset.fingerprint,
        description=version.dataset.description,
        summary=data.get("summary"),
        traces=StoredFile(**data["traces"]) if data.get("traces") else None,
    )


def begun_and_kept(version: ModelVersion) -> dict[str, Any]:
    """What the result of a train task says of its beginning, and of the file that it has kept of its data."""
    lineage = version.lineage
    kept = {"data_traces": lineage[DATA]["traces"]["path"]} if DATA in lineage else {}
    return {**({"start_from": lineage[PARENT]} if PARENT in lineage else {}), **kept}


def tell_parent(session: Session, lease: Lease, version: ModelVersion) -> None:
    """Write into the history of a model that training of its new version began with another one, if it did."""
    parent = version.lineage.get(PARENT)
    if parent is None:
        return
    name, _at, number = parent.partition("@")
    before = int(number) if name == lease.job_name else None  # an event knows versions of its own model alone
    deed = Deed(actor=lease.user_name, reason=f"job {lease.job_id} began with {parent}")
    add_model_event(session, version.model_id, "begin_with", deed, Move(None, before, version.version))


def tell_of_data(session: Session, lease: Lease, told: str) -> None:
    """Leave an event that says how the data have changed."""
    about = {"job_id": lease.job_id, "task_id": lease.task_id}
    add_event(session, actor=lease.worker_name, action="drift", detail=told, **about)


def tell_skipped(session: Session, lease: Lease, skipped: Mapping[str, Any]) -> None:
    """Let the job's row say that it has succeeded without doing anything, and why."""
    explain_success(session, lease.job_id, lease.task_id, reason=skipped["reason"], message=skipped["detail"])

"""Compare two data sets, or one with that of a model, here and now."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cli.context import Workspace
from cli.datasetreading import read_dataset
from pixmill.errors import CorruptFile, NotFound
from pixmill.lineage import DATA

if TYPE_CHECKING:
    from db.tables.models import ModelVersion
    from imagemodels.data import ImageDataset
    from imagemodels.evaluation.datatraces import DataTraces
    from imagemodels.evaluation.drift import Drift, KnownData


def drift_between(workspace: Workspace, first: str, second: str) -> "tuple[KnownData, Drift]":
    """What is known of the second data set, and how it differs from the first, both read now, at the first one's size.

    Raises NotFound, DatasetError, StorageError or PermissionDenied.
    """
    from imagemodels.evaluation.drift import compared

    before = _read(workspace, first, {})
    now = _read(workspace, second, {"image_size": before.image_size, "channels": before.channels})
    known = _known(now)
    return known, compared(_known(before), known, first)


def drift_against(workspace: Workspace, name: str, model: str) -> "tuple[KnownData, Drift]":
    """What is known of a data set, read at the model's size, and how it differs from what the model was trained on.

    Raises NotFound, Conflict, DatasetError, StorageError or PermissionDenied.
    """
    from db.registry import present_version
    from imagemodels.evaluation.drift import compared

    with workspace.database.read() as session:
        version = present_version(session, model)
        before = _known_of(workspace, version)
        shape = {"image_size": version.image_size, "channels": version.channels}
        against = version.reference
    known = _known(_read(workspace, name, shape))
    return known, compared(before, known, against)


def _read(workspace: Workspace, name: str, shape: Mapping[str, int]) -> "ImageDataset":
    """A registered data set, or one that is named by kind and place."""
    from db.datasets import registered_dataset
    from scheduler.validation import check_images, check_place, registered_reference

    reference = registered_reference(check_images(name))
    if reference is None:
        return read_dataset(workspace, check_place(name), **_shape(shape), on_bad_image="skip")
    with workspace.database.read() as session:
        try:
            row = registered_dataset(session, reference.name)
        except NotFound:
            row = None
    if row is None:  # digits, mnist, … or nobody knows it
        return read_dataset(workspace, check_place(name), **_shape(shape), on_bad_image="skip")
    own = {"image_size": row.image_size, "channels": row.channels}
    return read_dataset(workspace, row.source, **_shape({**own, **shape}), on_bad_image="skip")


def _shape(shape: Mapping[str, int]) -> dict[str, Any]:
    return {key: shape.get(key) for key in ("image_size", "channels")}


def _known(data: "ImageDataset") -> "KnownData":
    from imagemodels.evaluation.datatraces import summarised
    from imagemodels.evaluation.drift import KnownData

    return KnownData(data.name, data.fingerprint, data.describe(), *summarised(data))


def _known_of(workspace: Workspace, version: "ModelVersion") -> "KnownData":
    from imagemodels.evaluation.datatraces import DataSummary
    from imagemodels.evaluation.drift import KnownData

    dataset, kept = version.dataset, version.lineage.get(DATA) or {}
    description = dataset.description.get("objects") or dataset.description
    summary = DataSummary.from_json(kept["summary"]) if "summary" in kept else None
    return KnownData(dataset.name, dataset.fingerprint, description, summary, _traces(workspace, kept))


def _traces(workspace: Workspace, kept: Mapping[str, Any]) -> "DataTraces | None":
    """What a training has kept of its images; None where it is not there, so that numbers alone are compared."""
    from cli.output import say
    from imagemodels.errors import CorruptCheckpoint
    from imagemodels.evaluation.datatraces import DataTraces
    from storage.checkpoints import open_verified
    from storage.paths import Layout

    if "traces" not in kept:
        return None
    path = Layout(workspace.settings.storage_root).resolve(kept["traces"]["path"])
    try:
        with open_verified(path, kept["traces"]["sha256"]) as file:
            return DataTraces.read(file)
    except (CorruptFile, CorruptCheckpoint) as error:
        say(f"note: the images cannot be compared one by one: {error}")
        return None


def print_drift(data: "KnownData", drift: "Drift", *, as_json: bool) -> bool:
    """Print how a data set differs from another; whether a train job would take it."""
    from cli.output import print_fields, print_item, print_title
    from imagemodels.evaluation.driftlimits import Limits, violations
    from pages.driftfacts import drift_fields

    broken = list(violations(data, drift, Limits()))
    values = drift.to_json()
    if as_json:
        print_item("dataset_drift", {"name": data.name, **values, "broken": broken})
        return not broken
    print_title(f"data set {data.name}")
    print_fields({**drift_fields(values), **({"refused": "; ".join(broken)} if broken else {})})
    return not broken

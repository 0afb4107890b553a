"""From the name of a registered data set to what a job is given of it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from db.datasets import pin_dataset, registered_datasets
from pixmill.datasets import PinnedDataset
from pixmill.errors import NotFound
from pixmill.names import did_you_mean
from pixmill.specs import Spec
from scheduler.validation import check_place, registered_reference


def pin_registered(session: Session, name: str) -> PinnedDataset | None:
    """What a job is given of a registered data set; None for one that is named by its kind or place.

    Raises DatasetError when nobody knows the name, Conflict when it stands for other data than those asked for.
    """
    reference = registered_reference(name)
    if reference is None:
        return None
    try:
        return pin_dataset(session, reference)
    except NotFound:
        close = did_you_mean(reference.name, [row.name for row in registered_datasets(session)])
        check_place(name, hint=f"did you mean the registered data set {close!r}?" if close else None)
        raise


def pin_datasets(session: Session, spec: Spec, keys: Mapping[str, str]) -> tuple[Spec, dict[str, Any]]:
    """Fix the very data that registered names stand for; gives the spec, and what each task is told of them.

    `keys` are those of the spec that name data sets, by what these are for. Raises as `pin_registered` does.
    """
    named = {role: name for role, key in keys.items() if (name := getattr(spec, key)) is not None}
    found = {role: pin_registered(session, name) for role, name in named.items()}
    pinned = {role: dataset for role, dataset in found.items() if dataset is not None}
    changed = spec.model_copy(update={keys[role]: dataset.reference for role, dataset in pinned.items()})
    return changed, {role: dataset.model_dump(mode="json") for role, dataset in pinned.items()}

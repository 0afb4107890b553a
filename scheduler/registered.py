"""From the name of a registered data set to what a job is given of it."""

from sqlalchemy.orm import Session

from db.datasets import pin_dataset, registered_datasets
from pixmill.datasets import PinnedDataset
from pixmill.errors import NotFound
from pixmill.names import did_you_mean
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

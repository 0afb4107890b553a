"""A registered data set as it is now, beside what it was."""

from typing import TYPE_CHECKING, Any

from cli.context import Workspace
from cli.datasetreading import read_dataset
from cli.output import say
from pixmill.datasets import SHOWN_DIGITS
from pixmill.errors import DatasetError

if TYPE_CHECKING:
    from db.tables import RegisteredDataset


def changes_of(workspace: Workspace, row: "RegisteredDataset") -> list[str]:
    """Read it again, and tell what is not as it was registered."""
    try:
        data = read_dataset(
            workspace, row.source, image_size=row.image_size, channels=row.channels, on_bad_image=row.on_bad_image
        )
    except DatasetError as error:
        return [f"cannot be read: {error.message}"]
    if data.content_fingerprint == row.content_fingerprint:
        if data.fingerprint != row.fingerprint:
            say(
                f"note: {row.name} holds the same files, which this pixmill decodes to other pixels than the one before"
            )
        return []
    found = data.describe()
    return [
        *_numbers_changed(row, found),
        _difference("fingerprint", data.content_fingerprint, row.content_fingerprint),
    ]


def _numbers_changed(row: "RegisteredDataset", found: dict[str, Any]) -> list[str]:
    before, after = row.description["histogram"], found["histogram"]
    classes = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    images = [] if found["images"] == row.image_count else [_difference("images", found["images"], row.image_count)]
    return images + [_difference(f"class {name}", after.get(name, 0), before.get(name, 0)) for name in classes]


def _difference(what: str, found: object, registered: object) -> str:
    return f"{what} {_told(found)}, registered {_told(registered)}"


def _told(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)[:SHOWN_DIGITS]

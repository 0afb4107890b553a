"""A registered data set as it is now, beside what it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace
from cli.datasetreading import read_dataset
from cli.output import say
from pixmill.datasets import SHOWN_DIGITS
from pixmill.errors import DatasetError, PermissionDenied, StorageError

if TYPE_CHECKING:
    from db.tables.models import RegisteredDataset


@dataclass(frozen=True)
class Comparison:
    """What has changed of a data set, or what hindered the comparison, such as a full disk."""

    name: str
    changes: tuple[str, ...] = ()
    hindrance: str | None = None

    @property
    def is_intact(self) -> bool:
        """Whether it was compared, and is as it was registered."""
        return not self.changes and self.hindrance is None


def compare(workspace: Workspace, row: "RegisteredDataset") -> Comparison:
    """Read each of its files again, and tell what is not as it was registered."""
    try:
        return Comparison(row.name, tuple(_changes_of(workspace, row)))
    except (StorageError, PermissionDenied) as error:  # one set must not cost the results of the others
        return Comparison(row.name, hindrance=f"{error.message}; {error.hint}" if error.hint else error.message)


def print_comparisons(found: Sequence[Comparison]) -> None:
    """Print a line for each data set: on stdout for one that has changed or could not be compared."""
    for each in found:
        if each.hindrance is not None:
            click.echo(f"data set {each.name} could not be compared: {each.hindrance}")
        elif each.changes:
            click.echo(f"data set {each.name} has changed: {'; '.join(each.changes)}")
        else:
            say(f"data set {each.name} is as it was registered")
    if not found:
        say("no data set is registered")


def _changes_of(workspace: Workspace, row: "RegisteredDataset") -> list[str]:
    shape: dict[str, Any] = {"image_size": row.image_size, "channels": row.channels}
    try:
        data = read_dataset(workspace, row.source, **shape, on_bad_image=row.on_bad_image, again=True)
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

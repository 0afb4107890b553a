"""From the file in which a classifier's train job keeps its held-out images to the table that a report shows."""

import json
from pathlib import Path

from pixmill.errors import CorruptFile
from reports.data import Confusion
from reports.errors import ReportError


def read_confusion(path: Path) -> Confusion:
    """True classes by predicted ones, in numbers of held-out images.  Raises CorruptFile."""
    try:
        document = json.loads(path.read_bytes())
        return Confusion(
            classes=[str(name) for name in document["classes"]],
            counts=[[int(count) for count in row] for row in document["confusion"]],
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ReportError) as error:
        raise CorruptFile(f"{path} is no table of held-out images: {error}", hint="train again") from error


def class_accuracies(table: Confusion) -> dict[str, float]:
    """The share of each class's images that were recognised, of classes that have any."""
    shares = {}
    for number, (name, row) in enumerate(zip(table.classes, table.counts, strict=True)):
        if sum(row):
            shares[name] = row[number] / sum(row)
    return shares

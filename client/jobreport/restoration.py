"""From the figures of restored images, as the worker wrote them, to the table of the report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixmill.errors import CorruptFile

if TYPE_CHECKING:
    from reports.data import FidelityLine, FidelityTable

WAYS = {"restored": "restored", "damaged": "as they were given"}


def fidelity_table(path: Path) -> "FidelityTable":
    """How near restored and damaged images are to the true ones.  Raises CorruptFile for a file of another form."""
    from reports.data import FidelityTable

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        lines = lines_of(found)
        images = "held-out images" if found["held_out"] else "images of the training: none is held out"
        note = f"Means over {found['n']:,} {images}; damage: {found['damage']}."
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFile(f"{path} holds no figures of restored images: {error!r}") from error
    return FidelityTable(lines=lines, note=note)


def lines_of(found: Mapping[str, Any]) -> "Sequence[FidelityLine]":
    """The figures of restored images, and of what they were made from.  Raises KeyError or TypeError without them."""
    from reports.data import FidelityLine

    return [FidelityLine(name=shown, **found[way]) for way, shown in WAYS.items()]

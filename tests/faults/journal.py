"""Reads what attempts wrote down as they went (worker.device.journal says what stands in it)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from worker.device.journal import FILE_NAME

Entry = Mapping[str, Any]


def read_journal(folder: Path) -> Sequence[Entry]:
    """The entries of the attempt that worked in `folder`, none where it never got so far.

    A line that a full disk cut off is left out; the attempt ended there.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [entry for entry in map(_entry, lines) if entry is not None]


def _entry(line: str) -> Entry | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None

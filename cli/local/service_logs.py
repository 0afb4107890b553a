"""The logs of the processes that serve a home."""

import os
from pathlib import Path
from typing import BinaryIO

from storage.faults import named_faults

ROTATE_BYTES = 10_000_000
_TAIL_BYTES = 16_384


def open_log(path: Path) -> BinaryIO:
    """A log file opened for appending; one that has grown large is first put aside as `NAME.log.1`."""
    with named_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > ROTATE_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
        return path.open("ab", buffering=0)


def log_size(path: Path) -> int:
    """Bytes in a log so far, 0 when there is none: where the next start's lines will begin."""
    return path.stat().st_size if path.exists() else 0


def last_lines(path: Path, count: int, *, since_bytes: int = 0) -> list[str]:
    """The last lines of a log that are not blank, oldest first; `since_bytes` leaves out what earlier starts wrote."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        # A log that was put aside since then starts anew.
        file.seek(max(since_bytes if since_bytes <= size else 0, size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return [line for line in lines if line.strip()][-count:]

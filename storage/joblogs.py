"""The log of an attempt: pieces of bounded size, of which the first and the last ones are kept.

The first is log.txt, those after it log-0001.txt, log-0002.txt …; none is ever renamed, so whoever follows a log reads
on where he was.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FIRST = "log.txt"
PATTERN = "log*.txt"  # of all pieces
PIECES = 8  # that a full log has
_NUMBERED = re.compile(r"log-([0-9]{4,12})\.txt")


@dataclass(frozen=True)
class Piece:
    """One file of a log."""

    number: int  # from 0; what is missing between two was removed
    path: Path


def pieces(folder: Path) -> Sequence[Piece]:
    """The pieces that there are, in their order; none where the folder cannot be seen from here."""
    found = []
    for path in folder.glob(PATTERN):
        if path.name == FIRST:
            found.append(Piece(0, path))
        elif match := _NUMBERED.fullmatch(path.name):
            found.append(Piece(int(match[1]), path))
    return sorted(found, key=lambda piece: piece.number)


def piece_path(folder: Path, number: int) -> Path:
    """Where a piece lies."""
    return folder / (FIRST if number == 0 else f"log-{number:04}.txt")


class PieceHandler(logging.FileHandler):
    """Writes records into a log, a new piece whenever one is full; the second one goes when there are too many.

    An attempt that begins to write again (its process was replaced) goes on with the last piece.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._piece_bytes = max(1, most_bytes // PIECES)
        present = pieces(folder)
        self._number = present[-1].number if present else 0
        super().__init__(piece_path(folder, self._number), encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, and go on with another piece if this one is full now."""
        super().emit(record)
        if self.stream is not None and self.stream.tell() >= self._piece_bytes:
            try:
                self._turn()
            except OSError:
                self.handleError(record)  # as every handler of the standard library does: says so on stderr

    def _turn(self) -> None:
        self.close()
        self._closed = False  # it is opened again for the next record
        self._number += 1
        self.baseFilename = str(piece_path(self._folder, self._number).absolute())
        oldest = self._number - PIECES + 1
        if oldest >= 1:
            piece_path(self._folder, oldest).unlink(missing_ok=True)

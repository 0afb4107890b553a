"""Brings the end of a running attempt's log into the database, for those who do not see the file.

A convenience, not a promise: where the database is away nothing is tried again and again, and nothing waits for it.
"""

import logging
import time
from pathlib import Path

from db.engine import Database
from db.joblogs import share_log
from db.leases import Lease
from pixmill.errors import DatabaseUnreachable
from pixmill.sections import LogSettings
from storage.joblogs import pieces
from storage.paths import Layout

log = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0  # between two looks at a log
SHORT_SECONDS = 1.0  # of an attempt that succeeded: nobody asks for the log of shorter ones
PART_BYTES = 16_384


class LogSharer:
    """Follows the log of one attempt after the other."""

    def __init__(self, database: Database, settings: LogSettings, layout: Layout) -> None:
        # SQLite is of one host: whoever reads it sees the files.
        self._most_bytes = 0 if database.is_sqlite else settings.shared_bytes
        self._database = database
        self._layout = layout
        self._begun_at = self._due_at = 0.0  # by the monotonic clock
        self._piece, self._offset, self._sent = 0, 0, 0  # where it is: in which piece, where in it, and in all

    def begin(self) -> None:
        """Follow another attempt from now on."""
        self._begun_at = time.monotonic()
        self._due_at = self._begun_at + PAUSE_SECONDS
        self._piece = self._offset = self._sent = 0

    def look(self, lease: Lease) -> None:
        """Bring what is new, if it is time."""
        if self._most_bytes and time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + PAUSE_SECONDS
            self._share(lease)

    def end(self, lease: Lease, *, succeeded: bool) -> None:
        """Bring the rest, before the lease ends; of a short attempt only what went wrong."""
        if self._most_bytes and not (succeeded and time.monotonic() - self._begun_at < SHORT_SECONDS):
            self._share(lease)

    def _share(self, lease: Lease) -> None:
        try:
            new = self._read(self._layout.resolve(lease.folder))
            for first in range(0, len(new), PART_BYTES):
                self._add(lease, new[first : first + PART_BYTES])
        except DatabaseUnreachable as error:
            log.info("the log is not shared", extra={"task": lease.task_id, "reason": error.message})
        except Exception:  # a log that cannot be shared is no reason to end what it tells of
            log.exception("the log is not shared", extra={"task": lease.task_id})

    def _add(self, lease: Lease, part: bytes) -> None:
        start, end = self._sent, self._sent + len(part)
        text, keep_from = part.decode(errors="replace"), end - self._most_bytes
        self._sent = end
        self._database.transact(lambda session: share_log(session, lease, start, text, keep_from=keep_from))

    def _read(self, folder: Path) -> bytes:
        """What was written since the last look in whole lines; of very much only the end."""
        new = b""
        for piece in pieces(folder):
            if piece.number < self._piece:
                continue
            if piece.number > self._piece:
                self._piece, self._offset = piece.number, 0
            with piece.path.open("rb") as file:
                file.seek(self._offset)
                found = file.read()
            whole = found[: found.rfind(b"\n") + 1]
            self._offset += len(whole)
            new = new + whole
            if len(new) > self._most_bytes:
                self._sent += len(new) - self._most_bytes
                new = new[-self._most_bytes :]
        return new

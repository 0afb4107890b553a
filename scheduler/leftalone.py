"""Rows that cannot be worked off, whatever the reason: they must stop neither the others nor the queue."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from db.corrupt import CorruptRows
from pixmill.errors import CorruptRow, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

LEFT_ALONE_SECONDS = 60.0


class LeftAlone:
    """Remembers which rows of a kind were left alone, and for how long."""

    def __init__(self, kind: str, corrupt_rows: CorruptRows) -> None:
        self._kind = kind  # in words, such as "schedule"
        self._corrupt_rows = corrupt_rows
        self._until: dict[int, float] = {}  # by the monotonic clock

    def __len__(self) -> int:
        now = time.monotonic()
        self._until = {each: until for each, until in self._until.items() if until > now}
        return len(self._until)

    def sound(self, ids: Iterable[int]) -> list[int]:
        """Those that are not left alone."""
        return [each for each in ids if each not in self._until] if len(self) else list(ids)

    def attempt(self, row_id: int, act: Callable[[], T]) -> T | None:
        """Do something for a row; None where it cannot be done, and is left alone for a while.  Raises Unavailable.

        A row that cannot be read is told of once. Any other error is one of the program: it is logged each time, with
        all that there is to know of it.
        """
        try:
            return act()
        except Unavailable:
            raise
        except CorruptRow as error:
            self._corrupt_rows.tell(f"{self._kind} {row_id}", error)
            self._until[row_id] = time.monotonic() + LEFT_ALONE_SECONDS
        except Exception:
            log.exception("%s %d is left alone for a while", self._kind, row_id, extra={"action": self._kind})
            self._until[row_id] = time.monotonic() + LEFT_ALONE_SECONDS
        return None

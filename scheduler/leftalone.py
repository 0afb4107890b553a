"""Rows that cannot be worked off, whatever the reason: they must stop neither the others nor the queue."""

import time
from collections.abc import Iterable

LEFT_ALONE_SECONDS = 60.0


class LeftAlone:
    """Remembers what was left alone, and for how long."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}  # by the monotonic clock

    def __len__(self) -> int:
        now = time.monotonic()
        self._until = {each: until for each, until in self._until.items() if until > now}
        return len(self._until)

    def sound(self, ids: Iterable[int]) -> list[int]:
        """Those that are not left alone."""
        return [each for each in ids if each not in self._until] if len(self) else list(ids)

    def add(self, row_id: int) -> None:
        """Look at a row no more for a while."""
        self._until[row_id] = time.monotonic() + LEFT_ALONE_SECONDS

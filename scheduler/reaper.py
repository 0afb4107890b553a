"""Who is gone? Judged by what this process saw itself, on its own monotonic clock.

A lease or a worker counts as gone when its heartbeat counter stood still for a full lease while we watched. No clock
of another host takes part, and whatever we did not watch (we just started, the database was away or made us wait) is
not held against anyone.
"""

import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key")
Look = TypeVar("Look")


LONGEST_GAP = 0.5  # of the period, between two looks: who looks less often has not watched


class StillnessWatch(Generic[Key, Look]):
    """Remembers since when each thing has looked the same."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen: dict[Key, tuple[Look, float]] = {}
        self._looked_at = clock()

    def update(self, looks: Mapping[Key, Look]) -> dict[Key, Look]:
        """Take in how everything looks now; gives what has not changed for the whole time."""
        at = self._clock()
        if at - self._looked_at > LONGEST_GAP * self._seconds:
            self.forget()
        self._looked_at = at
        self._seen = {
            key: self._seen[key] if key in self._seen and self._seen[key][0] == look else (look, at)
            for key, look in looks.items()
        }
        return {key: look for key, (look, since) in self._seen.items() if at - since >= self._seconds}

    def forget(self) -> None:
        """Start over: after an outage everything gets a full period of grace."""
        self._seen.clear()

"""What a task that makes images spends its seconds on, by the clock of the one process that writes them."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pixmill.stages import Stage

WINDOW_SECONDS = 10.0  # over which the rate is measured


class Spending:
    """Seconds by stage. What others do meanwhile counts only as long as it is waited for."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(Stage, 0.0)

    def waited(self, seconds: float, shares: Mapping[str, float]) -> None:
        """So long images were waited for, of which each stage took its share where they were made."""
        whole = sum(shares.values())
        for stage, share in shares.items():
            self._seconds[Stage(stage)] += seconds * share / whole if whole else 0.0

    @contextmanager
    def writing(self, told: Mapping[str, float]) -> Iterator[None]:
        """Write in the block; `told` are the seconds of the shard's writer, live, and what they leave is the disk's."""
        began, before = time.perf_counter(), dict(told)
        yield
        encode = _grown(told, before, "encode_seconds", "hash_seconds")
        self._seconds[Stage.ENCODE] += encode
        self._seconds[Stage.DISK] += max(0.0, time.perf_counter() - began - encode)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Wait in the block until a shard has reached its bucket."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[Stage.NET] += time.perf_counter() - began

    @property
    def seconds(self) -> dict[str, float]:
        """The stages that took any time, as JSON."""
        return {stage.value: round(seconds, 3) for stage, seconds in self._seconds.items() if seconds}


class Rate:
    """Images a second, of the last seconds: how fast they are made, though some of them may be lost again."""

    def __init__(self) -> None:
        self._marks = deque([(time.monotonic(), 0)])

    def add(self, count: int) -> float:
        """Note how many images more, or fewer, there are; gives the rate."""
        at = time.monotonic()
        done = self._marks[-1][1] + max(0, count)
        self._marks.append((at, done))
        while at - self._marks[1][0] > WINDOW_SECONDS:
            self._marks.popleft()
        began, before = self._marks[0]
        return (done - before) / max(1e-9, at - began)


def _grown(told: Mapping[str, float], before: Mapping[str, float], *names: str) -> float:
    return sum(told.get(name, 0.0) - before.get(name, 0.0) for name in names)

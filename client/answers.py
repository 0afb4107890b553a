"""Questions to servers that may never answer."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


SLICE_SECONDS = 0.1


def answered(ask: Callable[[], T], seconds: float) -> T:
    """What is answered, or raised, within so many seconds; else TimeoutError.

    Time in which the machine, or this process, stood still as a whole is not held against whoever is asked.
    """
    answer = Answer(ask)
    for _slice in range(max(1, round(seconds / SLICE_SECONDS))):
        if answer.is_there(SLICE_SECONDS):
            break
    found: T = answer.get(time.monotonic())
    return found


class Answer:
    """The answer of a part, asked in a thread of its own: a driver's time-outs are not ours."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._value: object = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(ask,), daemon=True)
        self._thread.start()

    def _run(self, ask: Callable[[], object]) -> None:
        try:
            self._value = ask()
        except Exception as error:  # noqa: BLE001  raised again where the answer is wanted
            self._error = error

    def is_there(self, seconds: float) -> bool:
        """Whether there is one, after so long at most."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def get(self, deadline: float) -> Any:
        """The answer, or what asking raised; TimeoutError at the deadline (by `time.monotonic`)."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value

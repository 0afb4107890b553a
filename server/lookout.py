"""Somebody looks for what is wrong, again and again while pages are asked for, and keeps nobody waiting for it."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger("server")


class Lookout(Generic[T]):
    """What `look` found last; older than so many seconds, it is looked for anew in a thread of its own."""

    def __init__(self, look: Callable[[], T], seconds: float) -> None:
        self._look, self._seconds = look, seconds
        self._lock = threading.Lock()
        self._known = threading.Event()
        self._found: T | None = None
        self._due = 0.0  # by time.monotonic
        self._looks = False

    def last(self, patience: float = 0.0) -> T | None:
        """What was found last; where nothing was yet, it is waited for so many seconds. None: not even then."""
        self._begin()
        self._known.wait(patience)
        return self._found

    def _begin(self) -> None:
        with self._lock:
            if self._looks or time.monotonic() < self._due:
                return
            self._looks = True
        threading.Thread(target=self._run, name="lookout", daemon=True).start()

    def _run(self) -> None:
        try:
            self._found = self._look()
            self._known.set()
        except Exception:
            log.exception("nobody could look for what is wrong")
        finally:
            with self._lock:
                self._looks, self._due = False, time.monotonic() + self._seconds

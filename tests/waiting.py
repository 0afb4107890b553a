"""Waiting for what another process or thread does: until it is so, never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

Found = TypeVar("Found")

PAUSE = 0.005  # seconds between two looks


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; what waits for its parent to look is dead."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], Found], timeout: float = 10.0, pause: float = PAUSE) -> Found:
    """What `condition` gives once it is true.  Raises AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"not so within {timeout} s, last seen: {found!r}")
        time.sleep(pause)

"""Waiting for what another process or thread does: until it is so, never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

Found = TypeVar("Found")

# Seconds between two looks: at first and at most. The looking takes a core from those who are looked at.
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.05
PATIENCE = 0.1  # of the time that was waited so far: whatever happens is noticed that much later at most


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; what waits for its parent to look is dead."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(
    condition: Callable[[], Found],
    timeout: float = 10.0,
    pause: float = FIRST_PAUSE,
    longest_pause: float = LONGEST_PAUSE,
) -> Found:
    """What `condition` gives once it is true.  Raises AssertionError after `timeout` seconds.

    A condition that is true for milliseconds, again and again, needs a `longest_pause` that is as short.
    """
    began = time.monotonic()
    while True:
        found = condition()
        if found:
            return found
        waited = time.monotonic() - began
        if waited >= timeout:
            raise AssertionError(f"not so within {timeout} s, last seen: {found!r}")
        time.sleep(max(pause, min(PATIENCE * waited, longest_pause)))

"""A lock between processes that goes with its holder: the kernel lets go of it when a process ends, however it does."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

RETRY_SECONDS = 0.2


@contextmanager
def held_lock(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock on a file for the time of the block.

    ``waiting`` is called again and again while another process has it; what it raises ends the waiting.
    Raises OSError.
    """
    with path.open("ab") as file:
        while not _taken(file.fileno()):
            waiting()
            time.sleep(RETRY_SECONDS)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

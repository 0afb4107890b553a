"""Lock files: the kernel lets go of them when their holder dies, however it dies."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.faults import named_faults

LOOK_SECONDS = 0.25  # whoever looks with `is_held` shares the lock for a moment; that is no holder
_PAUSE = 0.02  # seconds


class FileLock:
    """An exclusive lock on a file, which names its holder's pid for people who look into it.

    A process that inherits `descriptor` shares the lock: it is free once the last of them has ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with named_faults(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def acquire(self) -> bool:
        """Take the lock if it is free; gives whether it is now ours."""
        deadline = time.monotonic() + LOOK_SECONDS
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_PAUSE)  # the kernel has no flock with a time limit
            else:
                return True

    def sign(self, pid: int) -> None:
        """Write the holder's pid into the file."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{pid}\n".encode(), 0)

    def close(self) -> None:
        """Let go of the lock, as far as this process is concerned."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def holder_of(path: Path) -> int | None:
    """The pid written in a lock file, or None when there is none to be read."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def is_held(path: Path) -> bool:
    """Whether some process holds the lock at this moment; makes no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # A shared lock, so that two processes that look at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

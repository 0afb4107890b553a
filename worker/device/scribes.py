"""The scribes of a device process: processes that write the shards of generate tasks, each a whole one at a time.

A device that makes images faster than one core encodes them would wait for its own process most of the time.
"""

import logging
import os
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from select import select
from typing import Any

from pixmill.errors import PixmillError
from pixmill.interpreter import python_command
from worker.device.memory import memory_available
from worker.device.pinning import die_with_parent
from worker.device.ring import Images, Ring
from worker.device.wire import Array, Wire, WireClosed

BYTES_EACH = 100_000_000  # of memory that a scribe needs beside its slots, about
SLOTS_EACH = 2  # one that is written, and one that waits: what bounds the memory

LockPages = Callable[[Images], Callable[[], None]]  # keeps memory in its place; gives what lets go of it again

log = logging.getLogger("job")


class ScribeLost(Exception):
    """A scribe has died."""


class ScribesLost(PixmillError):
    """No scribe of a task is left."""


class Scribe:
    """One process that writes shards, and its slots.  It is started by the thread whose end it shall share."""

    def __init__(self, ring: Ring, number: int) -> None:
        self.slots = range(number * SLOTS_EACH, (number + 1) * SLOTS_EACH)
        self.is_ready = False  # it has said that it imported what it needs
        ours, theirs = socket.socketpair()
        self._wire = Wire(ours)
        with theirs:
            self._process = subprocess.Popen(
                _command(theirs.fileno(), ring),
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                pass_fds=(theirs.fileno(), ring.descriptor),
                stdin=subprocess.DEVNULL,
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  it loads and locks nothing
            )

    def fileno(self) -> int:
        """What can be read from when it has said something."""
        return self._wire.descriptor

    def tell(self, message: dict[str, Any], *arrays: Array) -> None:
        """Give it an order.  Raises ScribeLost."""
        try:
            self._wire.send(message, *arrays)
        except WireClosed as error:
            raise ScribeLost(self._how()) from error

    def hear(self) -> dict[str, Any]:
        """Wait for what it says next.  Raises ScribeLost."""
        try:
            message, _ = self._wire.receive()
        except WireClosed as error:
            raise ScribeLost(self._how()) from error
        self.is_ready = True
        return message

    def kill(self) -> None:
        """Begin to end it."""
        self._process.kill()

    def close(self) -> None:
        """Wait until it has ended, and free its line."""
        self._process.wait()
        self._wire.close()

    def _how(self) -> str:
        self._process.kill()
        status = self._process.wait()
        return f"killed by signal {-status}" if status < 0 else f"ended with status {status}"


class Scribes:
    """All scribes of a device process, at most so many; they live on from task to task until `end`."""

    def __init__(self, most: int, lock_pages: LockPages | None = None) -> None:
        self._most = most
        self._lock_pages = lock_pages
        self._unlock_pages: Callable[[], None] | None = None
        self._ring: Ring | None = None
        self.alive: list[Scribe] = []

    def begin(self, slot_bytes: int) -> None:
        """Start them with slots of that size, unless such run or there is no memory for any.

        The device process can work on meanwhile.
        """
        count = min(self._most, memory_available() // (BYTES_EACH + SLOTS_EACH * slot_bytes))
        if self._fits(slot_bytes) or count < 1:
            return
        self.end()
        log.info("starting %d processes that write shards", count)
        self._ring = Ring.create(count * SLOTS_EACH, slot_bytes)
        self.alive = [Scribe(self._ring, number) for number in range(count)]
        if self._lock_pages is not None:
            self._unlock_pages = self._lock_pages(self._ring.memory)

    @property
    def are_alive(self) -> bool:
        """Whether they were started, and not ended since."""
        return bool(self.alive)

    def are_ready(self, slot_bytes: int) -> bool:
        """Whether any of them can be given work, with slots of that size or larger."""
        if not self._fits(slot_bytes):
            return False
        for scribe in select([scribe for scribe in self.alive if not scribe.is_ready], [], [], 0)[0]:
            try:
                scribe.hear()
            except ScribeLost as error:
                log.warning("a process that writes shards is lost: %s", error)
                self.lose(scribe)
        return any(scribe.is_ready for scribe in self.alive)

    @property
    def ring(self) -> Ring:
        """Where they find images."""
        assert self._ring is not None
        return self._ring

    def lose(self, scribe: Scribe) -> None:
        """Forget one that has died."""
        scribe.close()
        self.alive.remove(scribe)

    def end(self) -> None:
        """End them all, at once."""
        for scribe in self.alive:
            scribe.kill()
        for scribe in self.alive:
            scribe.close()
        self.alive = []
        if self._unlock_pages is not None:
            self._unlock_pages()
            self._unlock_pages = None
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def _fits(self, slot_bytes: int) -> bool:
        return self.are_alive and self._ring is not None and self._ring.slot_bytes >= slot_bytes


def _command(descriptor: int, ring: Ring) -> list[str]:
    numbers = {"socket": descriptor, "ring": ring.descriptor, "slots": ring.slots, "slot-bytes": ring.slot_bytes}
    options = (word for name, number in numbers.items() for word in (f"--{name}", str(number)))
    return python_command("-m", "worker.device.scribe", *options)

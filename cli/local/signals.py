"""Signals as something to wait for, beside pidfds: the self-pipe."""

import signal
import socket
from types import FrameType
from typing import Self


class StopSignals:
    """Counts SIGTERM and SIGINT; `descriptor` becomes readable with each. For the main thread."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._former_wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._former = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_wakeup)
        self._reader.close()
        self._writer.close()

    @property
    def descriptor(self) -> int:
        """Readable when a signal has come since the last `drain`."""
        return self._reader.fileno()

    def drain(self) -> None:
        """Make the descriptor wait for the next signal."""
        try:
            while self._reader.recv(64):
                pass
        except BlockingIOError:
            return

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

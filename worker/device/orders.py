"""What the parent wants of the process that works for it."""

import os
import threading
from typing import Any

from worker.channel import Channel

RANK_LOST = 76  # exit status: a process that works on the task together with this one is gone


class Orders:
    """The parent's words, as they come in on the line."""

    def __init__(self, channel: Channel, *, is_told_to_stop: bool = False) -> None:
        self._channel = channel
        self._is_told_to_stop = is_told_to_stop
        self._listening = threading.Lock()

    def next(self, seconds: float | None) -> dict[str, Any] | None:
        """The next one; ends this process when the parent is gone."""
        message = self._channel.receive(seconds)
        if message is None and self._channel.is_at_end:
            os._exit(0)  # the parent is gone or has given up on this process
        return message

    def begin(self) -> None:
        """Forget the order to stop, before another attempt."""
        self._is_told_to_stop = False

    def should_stop(self) -> bool:
        """Whether the parent has asked for the end of the running attempt; it sends nothing else meanwhile.

        Any thread may ask: one at a time reads the line, and none takes back what another one has heard.
        """
        with self._listening:
            if not self._is_told_to_stop and self.next(0.0) is not None:
                self._is_told_to_stop = True
            return self._is_told_to_stop

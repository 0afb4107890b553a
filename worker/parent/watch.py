"""The clocks of one attempt, all monotonic and all this process's own, and what it was told meanwhile."""

import time
from typing import Any

from db.leases import Orders
from pixmill.settings import Settings

CANCEL_SECONDS = 0.8  # with the heartbeat that brings the cancel, two seconds in all


class Watch:
    """When to beat, when to ask the device process to stop, when to take it for hung."""

    def __init__(self, settings: Settings, time_limit_seconds: float | None = None) -> None:
        self._settings = settings.worker
        self._started_at = time.monotonic()
        self._next_beat = self._started_at + self._settings.heartbeat_seconds
        self._heard_at = self._started_at
        self._asked_at: float | None = None
        self.time_limit = time_limit_seconds
        self._progress: dict[str, Any] | None = None
        self._images_done = 0
        self.cancelled = False
        self.requeued = False
        self.verdict: str | None = None
        self.answer = "lost"  # the last thing that the device process said, once that ended the attempt

    def seconds(self) -> float:
        """For how long the attempt has run."""
        return time.monotonic() - self._started_at

    def until_beat(self) -> float:
        """Seconds until the next heartbeat is due."""
        return max(0.0, self._next_beat - time.monotonic())

    def beat_is_due(self) -> bool:
        """Whether a heartbeat is due; then the next one is a period later."""
        if time.monotonic() < self._next_beat:
            return False
        self._next_beat = time.monotonic() + self._settings.heartbeat_seconds
        return True

    def obey(self, orders: Orders) -> None:
        """Take in what an operator wants."""
        self.cancelled = self.cancelled or orders.cancel
        self.requeued = self.requeued or orders.stop

    def heard(self) -> None:
        """Note that the device process said something."""
        self._heard_at = time.monotonic()

    def told(self, progress: dict[str, Any]) -> None:
        """Take in a report of the device process.

        A phase that tells its share instead of images takes nothing from the images that are done.
        """
        self._progress = {key: value for key, value in progress.items() if key != "say"}
        if "share" not in progress:
            self._images_done = int(progress["done"])

    def ask(self) -> None:
        """Note that the device process was asked to stop."""
        self._asked_at = time.monotonic()

    @property
    def is_over_time(self) -> bool:
        """Whether the attempt has run for longer than it may; an operator's wish comes first."""
        if self.time_limit is None or self.requeued:
            return False
        return (self._asked_at or time.monotonic()) - self._started_at > self.time_limit

    @property
    def wants_stop(self) -> bool:
        """Whether the attempt is to end before its work is done."""
        return self.cancelled or self.requeued or self.is_over_time

    @property
    def asked_to_stop(self) -> bool:
        """Whether the device process was asked to stop."""
        return self._asked_at is not None

    def grace_is_over(self) -> bool:
        """Whether it had its time to stop; what is cancelled needs no checkpoint, and gets less."""
        if self._asked_at is None:
            return False
        grace = self._settings.stop_grace_seconds
        if self.cancelled:
            grace = min(grace, CANCEL_SECONDS)
        return time.monotonic() - self._asked_at > grace

    def is_hanging(self) -> bool:
        """Whether it has said nothing for too long."""
        return time.monotonic() - self._heard_at > self._settings.progress_deadline_seconds

    def facts(self) -> tuple[dict[str, Any] | None, int]:
        """The progress to store, and the images done."""
        return self._progress, self._images_done

"""How long the device has worked, and for whom: what fair shares are reckoned by."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

Account = tuple[str, str]  # queue, user


class Meter:
    """Sums device seconds by account until they are taken to the database; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unpaid: defaultdict[Account, float] = defaultdict(float)
        self._running: tuple[Account, float] | None = None  # since this moment, by the monotonic clock
        self._devices = 1

    @contextmanager
    def running(self, queue: str, user: str, devices: int = 1) -> Iterator[None]:
        """Charge the account, so many devices, for as long as the block lasts."""
        with self._lock:
            self._running, self._devices = ((queue, user), time.monotonic()), devices
        try:
            yield
        finally:
            with self._lock:
                self._charge()
                self._running = None

    def take(self) -> Mapping[Account, float]:
        """Device seconds by account since the last call."""
        with self._lock:
            self._charge()
            taken, self._unpaid = self._unpaid, defaultdict(float)
        return taken

    def put_back(self, seconds: Mapping[Account, float]) -> None:
        """Take back what could not be stored."""
        with self._lock:
            for account, spent in seconds.items():
                self._unpaid[account] += spent

    def _charge(self) -> None:
        if self._running is None:
            return
        account, since = self._running
        at = time.monotonic()
        self._unpaid[account] += self._devices * (at - since)
        self._running = (account, at)

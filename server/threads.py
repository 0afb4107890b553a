"""Work that may block, in a few threads: what takes too long, or finds too many before it, is given up.

Threads here are daemons: a server that never answers must not keep the dashboard from ending.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from server.errors import Busy, TooSlow

T = TypeVar("T")


class Pool:
    """At most so many threads, and so many calls that wait for one."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._calls: queue.Queue[tuple[Callable[[], Any], asyncio.Future[Any]]] = queue.Queue()
        self._waiting = waiting
        for number in range(threads):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    async def run(self, act: Callable[[], T], seconds: float) -> T:
        """What `act` gives, or raises.  Raises TooSlow after so many seconds, and Busy where too many wait already."""
        if self._calls.qsize() >= self._waiting:
            raise Busy
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((act, future))
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            raise TooSlow(seconds) from None

    def _work(self) -> None:
        while True:
            act, future = self._calls.get()
            if future.cancelled():  # nobody waits for it any more
                continue
            try:
                value, error = act(), None
            except Exception as raised:  # noqa: BLE001  raised again where the answer is wanted
                value, error = None, raised
            _settle(future, value, error)


def _settle(future: "asyncio.Future[Any]", value: Any, error: Exception | None) -> None:
    def set_now() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    try:
        future.get_loop().call_soon_threadsafe(set_now)
    except RuntimeError:  # the loop has ended
        return

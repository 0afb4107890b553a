"""Shards on their way out of the device process: one is sent to its bucket while the next one is made."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event

from storage.shards import ShardRecord
from worker.device.desk import PROGRESS_SECONDS, Desk, StopRequested
from worker.device.spending import Spending


class Sender:
    """Publishes shards in the order in which they come; of those for a bucket, one at a time is under way.

    `while_waiting` is called twice a second while nothing else is done, and may raise.
    """

    def __init__(self, desk: Desk, spending: Spending, while_waiting: Callable[[], None]) -> None:
        self._desk = desk
        self._spending = spending
        self._while_waiting = while_waiting
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sender")
        self._under_way: Future[None] | None = None
        self._is_closed = Event()

    def take(self, record: ShardRecord) -> None:
        """Publish a shard; one for a bucket later, but before the next.  Raises as `finish`, of the one before."""
        self.finish()
        if self._desk.assignment.outputs is None:
            self._desk.publish_shard(record, self._check)
        else:
            self._under_way = self._thread.submit(self._desk.publish_shard, record, self._check)

    def finish(self) -> None:
        """Wait until all shards are published.  Raises as `Desk.publish_shard` does."""
        if self._under_way is None:
            return
        with self._spending.sending():
            while not wait([self._under_way], PROGRESS_SECONDS).done:
                self._while_waiting()
        sent, self._under_way = self._under_way, None
        sent.result()

    def close(self) -> None:
        """Give up what is under way; returns when it has been cleared away."""
        self._is_closed.set()
        self._thread.shutdown()

    def _check(self, _size_bytes: int) -> None:
        """Between two parts of an upload: go on with it or not.

        The desk is not asked: its line is read by the thread that waits, which closes this when it hears of a stop.
        """
        if self._is_closed.is_set():
            raise StopRequested

"""Celery's thread pool, made to ask for the next wake-up as soon as a task has ended."""

from concurrent.futures import Future
from typing import Any

from celery.concurrency.thread import TaskPool
from kombu.asynchronous import Hub


class PromptPool(TaskPool):
    """Without prefetching, Celery asks Redis for a message only while no task runs.

    The task ends in a thread of the pool, but the event loop, which would ask, sleeps for up to a second until its
    next timer fires. So the end of a task wakes it.
    """

    _loop: Hub | None = None

    def register_with_event_loop(self, loop: Hub) -> None:
        """Remember the loop; Celery calls this at every connection to the broker."""
        self._loop = loop

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        """Run a task in a thread."""
        result = super().on_apply(*args, **kwargs)
        # Called when all of Celery's own bookkeeping about the task is done.
        result.f.add_done_callback(self._wake_loop)
        return result

    def _wake_loop(self, _task: "Future[Any]") -> None:
        if self._loop is not None:
            self._loop.call_soon(_nothing)


def _nothing() -> None:
    """A turn of the event loop is all that is wanted."""

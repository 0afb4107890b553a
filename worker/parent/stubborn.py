"""Transactions that wait for the database: an outage loses nothing of the work."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from db.engine import Database
from pixmill.errors import DatabaseUnreachable

log = logging.getLogger(__name__)

T = TypeVar("T")
Act = Callable[[Session], T]

OUTAGE_PAUSE = 1.0  # seconds between two tries while the database is away


class Stubborn:
    """Does what a worker that is told to stop gives up after its grace, and any other never."""

    def __init__(
        self, database: Database, stopping: threading.Event, grace_seconds: float, wait: Callable[[float], None]
    ) -> None:
        """`wait(seconds)` lets the time between two tries pass."""
        self._database = database
        self._stopping = stopping
        self._grace_seconds = grace_seconds
        self._wait = wait

    def transact(self, act: Act[T]) -> T:
        """Do it in a write transaction, once the database answers.

        Raises DatabaseUnreachable when the worker must stop and the database stays away.
        """
        return self._insist(act, self._database.transact)

    def consult(self, act: Act[T]) -> T:
        """As `transact`, in a transaction that writes nothing."""
        return self._insist(act, self._database.consult)

    def _insist(self, act: Act[T], run: Callable[[Act[T]], T]) -> T:
        given_up_at: float | None = None
        pause = 0.0  # first: an answer that was lost is no outage, and a lease waits for it
        while True:
            try:
                return run(act)
            except DatabaseUnreachable as error:
                log.warning("the database is away", extra={"reason": error.message})
                if self._stopping.is_set():
                    given_up_at = given_up_at or time.monotonic() + self._grace_seconds
                    if time.monotonic() >= given_up_at:
                        raise
                self._wait(pause)
                pause = OUTAGE_PAUSE

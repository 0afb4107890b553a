"""What Prometheus is given: the readings of a moment ago, read again when they are too old."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from client.answers import Answer
from client.monitoring.families import Readings, in_words_of_prometheus
from client.monitoring.readings import read, silence
from pixmill.errors import PixmillError
from pixmill.settings import Settings

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from db.engine import Database

log = logging.getLogger(__name__)

FRESH_SECONDS = 3.0  # however many ask, the database is read once in so long
SPARING = 20.0  # and no more than this share of the time, whatever a look costs
ANSWER_SECONDS = 5.0  # Prometheus waits for ten unless told otherwise


class Exposition:
    """A collector, as prometheus_client has it; any number of threads may ask it."""

    def __init__(self, database: "Database", settings: Settings, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._database = database
        self._settings = settings
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._readings: Readings = {}
        self._stale_at = 0.0  # by the monotonic clock
        self._asked: Answer | None = None  # that has not answered yet

    def describe(self) -> "list[Metric]":
        """Nothing: a registry that wants to know what there is must not have to ask the database."""
        return []

    def collect(self) -> "Iterator[Metric]":
        """All families."""
        yield from in_words_of_prometheus(self.readings())

    def readings(self) -> Readings:
        """How things stand, or stood a moment ago."""
        with self._lock:
            if time.monotonic() >= self._stale_at:
                began = time.monotonic()
                self._readings = self._ask()
                now = time.monotonic()
                self._stale_at = now + max(self._fresh_seconds, SPARING * (now - began))
            return self._readings

    def _ask(self) -> Readings:
        if self._database.is_sqlite and not Path(str(self._database.engine.url.database)).exists():
            return silence()  # to ask for it would make it
        # A database that does not answer has one question to answer, not one more for each that asks.
        asked = self._asked or Answer(lambda: read(self._database, self._settings))
        self._asked = asked
        try:
            found: Readings = asked.get(time.monotonic() + ANSWER_SECONDS)
        except TimeoutError:
            return silence()
        except PixmillError as error:
            log.warning("metrics cannot be read", extra={"action": "scrape", "reason": error.message})
            found = silence()
        except Exception:
            log.exception("metrics cannot be read", extra={"action": "scrape"})
            found = silence()
        self._asked = None
        return found


def text_of(exposition: Exposition) -> str:
    """All metrics in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(exposition)
    return generate_latest(registry).decode()

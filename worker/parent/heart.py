"""Says every few seconds that the worker is alive, whatever its runner does; and notices when it has gone deaf."""

import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy.orm import Session

from db.engine import Database
from db.tables.fleet import Worker
from db.workers import (
    Reading,
    beat_worker,
    charge_account,
    database_time,
    is_deaf,
    is_same,
    set_draining,
    stop_worker,
)
from pixmill.errors import CorruptRow, DatabaseUnreachable
from pixmill.settings import Settings
from worker.parent.gauges import gauge_of
from worker.parent.meter import Account
from worker.parent.runner import Runner

log = logging.getLogger(__name__)

DEAF = 75  # exit status: whoever supervises the worker starts it again
UNHEARD = "messages do not arrive any more"
UNKNOWN = "the database does not know this worker any more, as if it had been restored from a copy"


class Heart:
    """A thread that beats in the database."""

    def __init__(self, database: Database, settings: Settings, worker: Worker, runner: Runner, device: str) -> None:
        self._database = database
        self._seconds = settings.worker.idle_heartbeat_seconds
        self._canary_seconds = settings.scheduler.canary_seconds
        self._worker = worker
        self._runner = runner
        self._gauge = gauge_of(device)
        self._woken = threading.Event()
        self._draining = False
        self._stopped = False
        self._thread = threading.Thread(target=self._live, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def drain(self) -> None:
        """Say soon that the worker takes no more tasks; safe in a signal handler."""
        self._draining = True
        self._woken.set()

    def stop(self) -> None:
        """Beat no more."""
        self._stopped = True
        self._woken.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._stopped:
            self._woken.wait(self._seconds)
            self._woken.clear()
            try:
                self._beat()
            except Exception:  # a worker that works and does not beat would be taken for dead
                log.exception("the heart has missed a beat", extra={"worker": self._worker.id})

    def _beat(self) -> None:
        spent = self._runner.meter.take()
        try:
            deaf = self._tell(spent, self._read_gauge())
        except DatabaseUnreachable as error:
            self._runner.meter.put_back(spent)
            log.warning("the database is away", extra={"reason": error.message})
        else:
            if deaf is None:
                self._leave(UNKNOWN)
            # While a task runs no message is read; what came meanwhile is read at once afterwards.
            if deaf and self._runner.idle_seconds > self._canary_seconds / 2:
                with suppress(DatabaseUnreachable):  # then the scheduler finds out by itself
                    self._database.transact(lambda session: stop_worker(session, self._worker.id))
                self._leave(UNHEARD)

    def _tell(self, spent: Mapping[Account, float], reading: Reading | None) -> bool | None:
        """Beat, and charge what was spent; gives whether the worker is deaf, None if the database knows it no more."""

        def write(session: Session) -> None:
            beat_worker(session, self._worker.id, reading)
            for (queue, user), seconds in spent.items():
                charge_account(session, queue, user, seconds)
            if self._draining:
                set_draining(session, self._worker.id)

        def beat(session: Session) -> bool | None:
            worker = session.get(Worker, self._worker.id)
            if worker is None or not is_same(worker, self._worker):
                return None
            write(session)
            session.refresh(worker)
            return is_deaf(worker, database_time(session), self._canary_seconds)

        try:
            return self._database.transact(beat)
        except CorruptRow as error:  # a worker that works and does not beat would be taken for dead
            self._database.corrupt_rows.tell(f"worker {self._worker.id}", error)
            self._database.transact(write)
            return False

    def _read_gauge(self) -> Reading | None:
        try:
            return self._gauge() if self._gauge is not None else None
        except Exception as error:  # noqa: BLE001 - a driver that fails is no reason to stop beating
            log.warning("the device cannot be looked at any more", extra={"reason": str(error)})
            self._gauge = None
            return None

    def _leave(self, why: str) -> None:
        """End at once: only a new process can be trusted to hear, and to be known."""
        log.error("%s; ending, to be started again", why, extra={"worker": self._worker.id})
        os._exit(DEAF)

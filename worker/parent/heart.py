"""Says every few seconds that the worker is alive, whatever its runner does; and notices when it has gone deaf."""

import logging
import os
import threading
from contextlib import suppress

from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Worker
from db.workers import Reading, beat_worker, charge_account, database_time, is_deaf, set_draining, stop_worker
from pixmill.errors import DatabaseUnreachable
from pixmill.settings import Settings
from worker.parent.gauges import gauge_of
from worker.parent.runner import Runner

log = logging.getLogger(__name__)

DEAF = 75  # exit status: whoever supervises the worker starts it again


class Heart:
    """A thread that beats in the database."""

    def __init__(self, database: Database, settings: Settings, worker_id: int, runner: Runner, device: str) -> None:
        self._database = database
        self._seconds = settings.worker.idle_heartbeat_seconds
        self._canary_seconds = settings.scheduler.canary_seconds
        self._worker_id = worker_id
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
            self._beat()

    def _beat(self) -> None:
        spent = self._runner.meter.take()
        reading = self._read_gauge()

        def beat(session: Session) -> bool:
            beat_worker(session, self._worker_id, reading)
            for (queue, user), seconds in spent.items():
                charge_account(session, queue, user, seconds)
            if self._draining:
                set_draining(session, self._worker_id)
            worker = session.get_one(Worker, self._worker_id)
            return is_deaf(worker, database_time(session), self._canary_seconds)

        try:
            deaf = self._database.transact(beat)
        except DatabaseUnreachable as error:
            self._runner.meter.put_back(spent)
            log.warning("the database is away", extra={"reason": error.message})
        else:
            # While a task runs no message is read; what came meanwhile is read at once afterwards.
            if deaf and self._runner.idle_seconds > self._canary_seconds / 2:
                self._leave()

    def _read_gauge(self) -> Reading | None:
        try:
            return self._gauge() if self._gauge is not None else None
        except Exception as error:  # noqa: BLE001 - a driver that fails is no reason to stop beating
            log.warning("the device cannot be looked at any more", extra={"reason": str(error)})
            self._gauge = None
            return None

    def _leave(self) -> None:
        """End at once: messages no longer reach this process, and only a new one can be trusted to hear."""
        log.error("messages do not arrive any more; ending, to be started again", extra={"worker": self._worker_id})
        with suppress(DatabaseUnreachable):  # then the scheduler finds out by itself
            self._database.transact(lambda session: stop_worker(session, self._worker_id))
        os._exit(DEAF)

"""The scheduler process: tick when poked, or when the tick's time has passed; outlive every outage."""

import logging
import os
import signal
import socket
import threading
from types import FrameType

from sqlalchemy.orm import Session

from db.engine import Database, open_database
from db.schema import require_current_schema
from db.workers import beat_scheduler, register_scheduler, stop_scheduler
from pixmill.errors import DatabaseUnreachable
from pixmill.settings import Settings
from scheduler.bookkeeper import Bookkeeper
from scheduler.broker import SHORTEST_WAIT, PokeListener, WakeUpSender
from scheduler.connecting import require_welcome
from scheduler.messages import make_celery
from scheduler.messenger import Messenger
from scheduler.pipelines import Conductor
from scheduler.schedules import Planner
from scheduler.tick import Ticker

log = logging.getLogger(__name__)

OUTAGE_PAUSE = 1.0  # seconds between two tries while the database is away


def run_scheduler(settings: Settings) -> None:
    """Schedule until SIGTERM, SIGINT or SIGHUP.

    Raises SchemaMismatch, DatabaseUnreachable or BrokerRefuses at the start; a Redis that is away is waited for.
    """
    stop = _stop_on_signals()
    require_welcome(settings)
    database = open_database(settings)
    require_current_schema(database)
    row_id = database.transact(_registered)
    ticker = Ticker(database, WakeUpSender(make_celery(settings), settings), settings.scheduler)
    outputs = settings.storage.outputs
    planner, conductor = Planner(database, outputs=outputs), Conductor(database, outputs=outputs)
    listener = PokeListener(settings)
    messenger, bookkeeper = Messenger(database, settings.notify), Bookkeeper(database, settings.log.keep_days)
    messenger.start()
    bookkeeper.start()
    log.info("scheduler started", extra={"action": "start", "scheduler": row_id})
    while not stop.is_set():
        known_as = _tick(database, ticker, planner, conductor, row_id)
        if known_as is not None:
            row_id = known_as
            listener.wait(_pause(settings.scheduler.tick_seconds, planner.seconds_to_next), stop.is_set)
        else:
            stop.wait(OUTAGE_PAUSE)
    messenger.stop()
    bookkeeper.stop()
    _say_goodbye(database, row_id)


def _pause(tick_seconds: float, seconds_to_next: float | None) -> float:
    """How long to wait for a poke: until the next run of a schedule, but no longer than a tick."""
    return tick_seconds if seconds_to_next is None else min(tick_seconds, max(SHORTEST_WAIT, seconds_to_next))


def _tick(database: Database, ticker: Ticker, planner: Planner, conductor: Conductor, scheduler_id: int) -> int | None:
    """Work once; gives the id by which the database knows this scheduler then, or None while it is away."""
    try:
        # What reads a row that cannot be read spares the others; should something not, the next round may go on.
        with database.corrupt_rows.spared("what a round looks at"):
            ticker.tick()  # first of all: somebody may have just submitted a job, and a device waits for it
            started = planner.start_due()
            if conductor.advance() or started:
                ticker.tick()
        return database.transact(lambda session: _beat(session, scheduler_id, ticker.broker_error))
    except DatabaseUnreachable as error:
        log.warning("the database is away", extra={"action": "tick", "reason": error.message})
        ticker.forget()
        return None


def _beat(session: Session, scheduler_id: int, broker_error: str | None) -> int:
    """Say that the scheduler is alive; a database that was restored from a copy may not know it any more."""
    if beat_scheduler(session, scheduler_id, broker_error):
        return scheduler_id
    return _registered(session)


def _registered(session: Session) -> int:
    return register_scheduler(session, socket.gethostname(), os.getpid()).id


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # by nohup
        signal.signal(signal.SIGHUP, handle)
    return stop


def _say_goodbye(database: Database, scheduler_id: int) -> None:
    try:
        database.transact(lambda session: stop_scheduler(session, scheduler_id))
    except DatabaseUnreachable as error:
        log.warning("the database is away", extra={"action": "stop", "reason": error.message})
    log.info("scheduler stopped", extra={"action": "stop", "scheduler": scheduler_id})

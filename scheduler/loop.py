"""The scheduler process: tick when poked, or when the tick's time has passed; outlive every outage."""

import logging
import os
import signal
import socket
import threading
from types import FrameType

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
    row = database.transact(lambda session: register_scheduler(session, socket.gethostname(), os.getpid()))
    ticker = Ticker(database, WakeUpSender(make_celery(settings), settings), settings.scheduler)
    outputs = settings.storage.outputs
    planner, conductor = Planner(database, outputs=outputs), Conductor(database, outputs=outputs)
    listener = PokeListener(settings)
    messenger, bookkeeper = Messenger(database, settings.notify), Bookkeeper(database, settings.log.keep_days)
    messenger.start()
    bookkeeper.start()
    log.info("scheduler started", extra={"action": "start", "scheduler": row.id})
    while not stop.is_set():
        if _tick(database, ticker, planner, conductor, row.id):
            listener.wait(_pause(settings.scheduler.tick_seconds, planner.seconds_to_next), stop.is_set)
        else:
            stop.wait(OUTAGE_PAUSE)
    messenger.stop()
    bookkeeper.stop()
    _say_goodbye(database, row.id)


def _pause(tick_seconds: float, seconds_to_next: float | None) -> float:
    """How long to wait for a poke: until the next run of a schedule, but no longer than a tick."""
    return tick_seconds if seconds_to_next is None else min(tick_seconds, max(SHORTEST_WAIT, seconds_to_next))


def _tick(database: Database, ticker: Ticker, planner: Planner, conductor: Conductor, scheduler_id: int) -> bool:
    try:
        ticker.tick()  # first of all: somebody may have just submitted a job, and a device waits for it
        started = planner.start_due()
        if conductor.advance() or started:
            ticker.tick()
        database.transact(lambda session: beat_scheduler(session, scheduler_id, ticker.broker_error))
    except DatabaseUnreachable as error:
        log.warning("the database is away", extra={"action": "tick", "reason": error.message})
        ticker.forget()
        return False
    return True


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

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
from scheduler.broker import PokeListener, WakeUpSender
from scheduler.messages import make_celery
from scheduler.tick import Ticker

log = logging.getLogger(__name__)

OUTAGE_PAUSE = 1.0  # seconds between two tries while the database is away


def run_scheduler(settings: Settings) -> None:
    """Schedule until SIGTERM, SIGINT or SIGHUP.  Raises SchemaMismatch or DatabaseUnreachable at the start."""
    stop = _stop_on_signals()
    database = open_database(settings)
    require_current_schema(database)
    row = database.transact(lambda session: register_scheduler(session, socket.gethostname(), os.getpid()))
    ticker = Ticker(database, WakeUpSender(make_celery(settings), settings), settings.scheduler)
    listener = PokeListener(settings)
    log.info("scheduler started", extra={"action": "start", "scheduler": row.id})
    while not stop.is_set():
        if _tick(database, ticker, row.id):
            listener.wait(settings.scheduler.tick_seconds)
        else:
            stop.wait(OUTAGE_PAUSE)
    _say_goodbye(database, row.id)


def _tick(database: Database, ticker: Ticker, scheduler_id: int) -> bool:
    try:
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

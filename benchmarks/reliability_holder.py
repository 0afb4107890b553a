"""A host that holds leases and computes nothing: what dies in the measurement of a host's death."""

import logging
import os
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from db.claims import claim
from db.engine import Database, open_database
from db.leases import Lease, heartbeat
from db.tables.fleet import DeviceKind, Worker
from db.workers import DeviceFacts, beat_worker, register_worker
from pixmill.errors import DatabaseUnreachable
from pixmill.settings import load_settings

T = TypeVar("T")

RETRY_SECONDS = 0.5  # between two tries to claim

log = logging.getLogger(__name__)


def hold_leases(host: str, count: int) -> None:
    """Register as a worker does, claim as it does and beat as it does, `count` times at once, until killed.

    The settings come from the environment, as a worker's do.
    """
    settings = load_settings().worker
    database = open_database(load_settings())
    workers = [database.transact(lambda session, n=number: _registered(session, host, n)) for number in range(count)]  # type: ignore[misc]
    leases = [_claimed(database, worker) for worker in workers]
    idle_beat_at = 0.0
    while True:
        started = time.monotonic()
        for lease in leases:
            _try(database, lambda session, of=lease: heartbeat(session, of, None, 0))  # type: ignore[misc]
        if started - idle_beat_at >= settings.idle_heartbeat_seconds:
            idle_beat_at = started
            for worker in workers:
                _try(database, lambda session, of=worker.id: beat_worker(session, of))  # type: ignore[misc]
        time.sleep(max(0.0, started + settings.heartbeat_seconds - time.monotonic()))


def _registered(session: Session, host: str, number: int) -> Worker:
    facts = DeviceFacts(host=host, name=f"cpu:{number}", kind=DeviceKind.CPU, model="none", memory_bytes=0)
    worker = register_worker(session, facts, os.getpid())
    session.refresh(worker)
    _ = worker.device.kind  # loaded now: the row is used after its session
    return worker


def _claimed(database: Database, worker: Worker) -> Lease:
    while (lease := _try(database, lambda session: claim(session, worker, None, _folder))) is None:
        time.sleep(RETRY_SECONDS)
    return lease


def _try(database: Database, act: Callable[[Session], T]) -> T | None:
    """As a worker does: what the database does not take now is said again later."""
    try:
        return database.transact(act)
    except DatabaseUnreachable as error:
        log.warning("the database is away: %s", error.message)
        return None


def _folder(job_id: int, task_id: int, epoch: int) -> str:
    return f"runs/{job_id}/{task_id}/{epoch}"

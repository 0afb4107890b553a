"""Whether the processes of a start serve already, judged by what each of them shows to the world."""

import socket
from collections.abc import Sequence
from datetime import datetime

from cli.local.record import ChildRecord
from cli.local.server import answers
from db.engine import Database
from db.workers import database_time, latest_scheduler, present_workers
from pixmill.settings import Settings

BROKER = "broker"


class Readiness:
    """Looks for the rows that processes of this host have added since the object was made."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._host = socket.gethostname()
        self._scheduler_pids: set[int] = set()
        with database.read() as session:
            # A container gives out the same pids at every start: rows of earlier ones must not count.
            self._since = database_time(session)

    def missing(self, children: Sequence[ChildRecord]) -> list[str]:
        """Names of those that do not serve yet; "broker" for a server that is not ours to start."""
        scheduler_pids, worker_pids = self._pids()
        broker_answers = answers(self._settings)
        ready = {
            child.name
            for child in children
            if child.mark is not None
            and (
                (child.role == "server" and broker_answers)
                or (child.role == "scheduler" and child.mark.pid in scheduler_pids)
                or (child.role == "worker" and child.mark.pid in worker_pids)
            )
        }
        missing = [child.name for child in children if child.name not in ready]
        foreign = not self._settings.broker_is_embedded
        return [*([BROKER] if foreign and not broker_answers else []), *missing]

    def _pids(self) -> tuple[set[int], set[int]]:
        with self._database.read() as session:
            scheduler = latest_scheduler(session)
            workers = present_workers(session)
        # Of several hosts' schedulers one is the latest at each look: whoever was seen once stays seen.
        if (
            scheduler is not None
            and scheduler.stopped_at is None
            and self._is_ours(scheduler.host, scheduler.started_at)
        ):
            self._scheduler_pids.add(scheduler.pid)
        ours = {worker.pid for worker in workers if self._is_ours(worker.device.host, worker.started_at)}
        return self._scheduler_pids, ours

    def _is_ours(self, host: str, started_at: datetime) -> bool:
        return host == self._host and started_at >= self._since

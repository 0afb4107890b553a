"""Keeps the counts of `db.totals` up to date, in a thread of the scheduler that keeps nothing else waiting.

Any number of schedulers may do this: what one has counted, the others do not.
"""

import logging
import time
from functools import partial

from db.engine import Database
from db.joblogs import prune_logs
from db.totals import SOURCES, Horizon, Source, count_up_to, horizon, is_settled, set_complete
from pixmill.sections import LogSettings
from scheduler.background import Background

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
OUTAGE_SECONDS = 5.0
PRUNE_SECONDS = 3600.0
PRUNED_AT_ONCE = 500


class Bookkeeper(Background):
    """Counts what has ended since it last looked."""

    name, action, outage_seconds = "bookkeeper", "count", OUTAGE_SECONDS

    def __init__(self, database: Database, keep_log_days: float = LogSettings().keep_days) -> None:
        super().__init__(database)
        self._keep_log_seconds = 86_400.0 * keep_log_days
        self._prunes_at = 0.0  # by the monotonic clock
        self._seen: dict[str, Horizon] = {}  # by source; not counted yet
        self._is_complete = False

    def look(self) -> float:
        """Count what is new; gives how long to wait before the next look.  Raises DatabaseUnreachable."""
        self.count()
        self.prune()
        return LOOK_SECONDS

    def prune(self) -> None:
        """Remove old ends of logs, now and then.  Raises DatabaseUnreachable."""
        if time.monotonic() < self._prunes_at:
            return
        act = partial(prune_logs, keep_seconds=self._keep_log_seconds, limit=PRUNED_AT_ONCE)
        while not self._stop.is_set() and self._database.transact(act):
            pass
        self._prunes_at = time.monotonic() + PRUNE_SECONDS

    def count(self) -> int:
        """Count all that is sure to be whole; gives how many rows it went on by.  Raises DatabaseUnreachable."""
        counted = [self._count(source) for source in SOURCES]
        if not self._is_complete and None not in counted:
            self._database.transact(set_complete)
            self._is_complete = True
        return sum(rows or 0 for rows in counted)

    def _count(self, source: Source) -> int | None:
        """Count what was seen at an earlier look once nothing can come to stand in front of it; None: not yet."""
        seen = self._seen.get(source.name)
        now, is_whole = self._database.consult(
            lambda session: (horizon(session, source), seen is not None and is_settled(session, seen))
        )
        if now.transaction == 0:  # of a database where what is seen is whole
            return count_up_to(self._database, source, now)
        if seen is None or is_whole:
            self._seen[source.name] = now
        return count_up_to(self._database, source, seen) if seen is not None and is_whole else None

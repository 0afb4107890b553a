"""What schedules cost the scheduler: a look when nothing is due, and a thousand runs that are due at once.

python -m benchmarks.schedules [--schedules 1000] [--json FILE]; SQLite in a temporary folder.
"""

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from benchmarks.machine import store
from db.engine import Database, open_database
from db.schema import prepare_schema
from pixmill.schedules import Catchup
from pixmill.settings import load_settings
from pixmill.specs import JobOptions, PingSpec
from scheduler.cron import parse_cron
from scheduler.schedules import Planner
from scheduler.timetable import add_schedule, document_of, make_schedule

LOOKS = 500
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(load_settings(flags={"home": Path(folder)}))
        prepare_schema(database)
        database.transact(lambda session: _add(session, arguments.schedules))
        results = {"idle look": _idle(database), "all due at once": _due(database, arguments.schedules)}
        database.dispose()
    for name, figures in results.items():
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in figures.items())}")
    store(arguments, ("schedules",), results, with_torch=False)


def _add(session: Session, count: int) -> None:
    for number in range(count):
        new = make_schedule(
            name=f"s{number}",
            cron=parse_cron("0 2 * * *", "UTC"),
            document=document_of(PingSpec(), JobOptions(), None),
            overlap=None,
            catchup=Catchup.LATEST,
            deadline_seconds=None,
            jitter_seconds=0.0,
            blackouts=(),
            user_name="ann",
        )
        add_schedule(session, new, NOON, outputs=None)


def _idle(database: Database) -> dict[str, float]:
    planner = Planner(database, lambda _session: NOON, outputs=None)
    planner.start_due()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(LOOKS):
        planner.start_due()
    return {
        "ms": round(1000 * (time.perf_counter() - wall) / LOOKS, 3),
        "processor ms": round(1000 * (time.process_time() - processor) / LOOKS, 3),
    }


def _due(database: Database, count: int) -> dict[str, float]:
    planner = Planner(database, lambda _session: NOON + timedelta(hours=14), outputs=None)
    longest, started, looks, wall, processor = 0.0, 0, 0, time.perf_counter(), time.process_time()
    while started < count:
        began = time.perf_counter()
        started += planner.start_due()
        longest, looks = max(longest, time.perf_counter() - began), looks + 1
    return {
        "looks": looks,
        "longest look s": round(longest, 3),
        "runs a second": round(count / (time.perf_counter() - wall), 1),
        "processor ms a run": round(1000 * (time.process_time() - processor) / count, 2),
    }


if __name__ == "__main__":
    main()

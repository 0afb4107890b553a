"""How long a scrape of all metrics takes beside very many jobs, and how quickly these are counted.

    python -m benchmarks.metrics [--jobs 1000000] [--database sqlite|postgresql]… [--json FILE]

The jobs are those of `benchmarks.desk`. First a scheduler's bookkeeper counts their events, as after an upgrade from a
schema without counters; then everything is read again and again, each time anew, and exposed as text.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

from sqlalchemy import func, select, text

from benchmarks.desk import SHARES, copy_job, samples_of
from benchmarks.machine import store
from benchmarks.manifest import House, house
from benchmarks.pickup import DATABASES
from client.monitoring.exposition import Exposition, text_of
from db.joblogs import share_log
from db.leases import finish
from db.tables.jobs import Event, Outcome
from pixmill.settings import load_settings
from scheduler.bookkeeper import Bookkeeper
from tests.rows import act, add, add_worker, claimed, queue
from worker.parent.sharing import PART_BYTES

SCRAPES = 60
LOOKS = 20
BUSY_LOOKS = 5
NEW_JOBS = 50  # that end between two looks of the bookkeeper


@dataclass(frozen=True)
class Scrapes:
    """Milliseconds of scrapes and of the bookkeeper's looks, on one database."""

    database: str
    jobs: int
    events: int
    bytes: int
    scrape_p50: float
    scrape_p95: float
    first_count_seconds: float
    look_p50: float  # where nothing is new
    look_after_50_jobs_p50: float
    log_part_p50: float  # 16 KB of a job's log, brought into the database with its fence


def measure(kind: str, jobs: int) -> Scrapes:
    """Fill a database, count, and scrape."""
    with house(kind) as here:
        samples = samples_of(here)
        for name, share in SHARES.items():
            act(here.database, copy_job, samples[name], round(jobs * share))
        with here.database.write() as session:
            session.execute(text("ANALYZE"))
            events = session.execute(select(func.count()).select_from(Event)).scalar_one()
        keeper = Bookkeeper(here.database)
        began = time.perf_counter()
        keeper.count()
        keeper.count()  # PostgreSQL: what was seen at first is counted at the second look
        first = time.perf_counter() - began
        settings = load_settings(flags={"home": here.home, "database.url": here.url})
        size = len(text_of(Exposition(here.database, settings)))
        scrapes = [_milliseconds(lambda: text_of(Exposition(here.database, settings))) for _ in range(SCRAPES)]
        looks = [_milliseconds(keeper.count) for _ in range(LOOKS)]
        busy = [_busy_look(here, keeper) for _ in range(BUSY_LOOKS)]
        shared = _sharing(here)
    p95 = quantiles(scrapes, n=20)[-1]
    figures = (median(scrapes), p95, first, median(looks), median(busy), median(shared))
    return Scrapes(kind, jobs, events, size, *(round(figure, 2) for figure in figures))


def _busy_look(here: House, keeper: Bookkeeper) -> float:
    worker = add_worker(here.database)
    for _ in range(NEW_JOBS):
        add(here.database, priority=1000)
        queue(here.database, 1)
        act(here.database, finish, claimed(here.database, worker), Outcome.SUCCEEDED)
    return _milliseconds(keeper.count)


def _sharing(here: House) -> list[float]:
    """What it costs a worker to bring a part of a log, the last four of which stay."""
    add(here.database, priority=2000)
    queue(here.database, 1)
    lease = claimed(here.database, add_worker(here.database, number=1, host="sharing"))
    line = "2026-11-22T02:00:00.000Z INFO    job 64,000 images, loss 0.1234\n"
    part = (line * (PART_BYTES // len(line) + 1))[:PART_BYTES]
    return [
        _milliseconds(
            lambda start=start: act(  # type: ignore[misc]
                here.database, share_log, lease, start, part, keep_from=start - 3 * PART_BYTES
            )
        )
        for start in range(0, SCRAPES * PART_BYTES, PART_BYTES)
    ]


def _milliseconds(act_: Callable[[], object]) -> float:
    began = time.perf_counter()
    act_()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    """Measure on each database, print the table, and write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.metrics", description="a scrape beside very many jobs")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--database", action="append", choices=DATABASES)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = []
    for kind in arguments.database or DATABASES:
        found.append(measure(kind, arguments.jobs))
        one = found[-1]
        print(f"{kind}, {one.jobs:,} jobs, {one.events:,} events", flush=True)
        print(f"  scrape                       {one.scrape_p50:8.1f} ms, p95 {one.scrape_p95:.1f} ms")
        print(f"  bookkeeper, nothing new      {one.look_p50:8.2f} ms")
        print(f"  bookkeeper, {NEW_JOBS} jobs ended    {one.look_after_50_jobs_p50:8.2f} ms")
        print(f"  16 KB of a log               {one.log_part_p50:8.2f} ms")
        print(f"  bookkeeper, all that there was {one.first_count_seconds:6.1f} s", flush=True)
    store(arguments, ("jobs",), [asdict(each) for each in found])


if __name__ == "__main__":
    main()

"""How quickly the command line answers beside very many jobs: seconds of whole processes, from start to exit.

    python -m benchmarks.desk [--jobs 1000000] [--database sqlite|postgresql]… [--json FILE]

A few jobs are brought to every state by the product's own functions, as workers would have done it; of each, the rows
(tasks, attempts and events too) are then copied inside the database until there are so many: 94 in 100 have succeeded,
one has failed, five wait, four run. Each command is a new interpreter; all are started in turn, again and again, and
the median counts. Beside them stands what it takes an interpreter here to import SQLAlchemy's ORM and to do nothing.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, Subquery, func, insert, literal, select, text
from sqlalchemy.orm import Session

from benchmarks.machine import store
from benchmarks.manifest import House, house
from benchmarks.pickup import DATABASES
from db.leases import finish
from db.tables.base import Table
from db.tables.jobs import Attempt, Event, Job, Outcome, Task
from pixmill.states import FailureReason
from tests.rows import act, add, add_worker, claimed, queue

ASKED = 10  # times; the first is not counted: it finds nothing in the page cache
FLOOR = "import sqlalchemy.orm"
RUNNING = 4
SHARES = {"succeeded": 0.94, "failed": 0.01, "waiting": 0.05}


@dataclass(frozen=True)
class Desk:
    """Seconds of each command, medians, on one database."""

    database: str
    jobs: int
    database_megabytes: float
    seconds: Mapping[str, float]


def measure(kind: str, jobs: int) -> Desk:
    """Fill a database and ask for it."""
    with house(kind) as here:
        samples = samples_of(here)
        before = here.size_bytes()
        for name, share in SHARES.items():
            act(here.database, copy_job, samples[name], round(jobs * share))
        with here.database.write() as session:
            session.execute(text("ANALYZE"))
        grown = here.size_bytes() - before
        cli = (sys.executable, "-m", "cli")
        asked = {
            FLOOR: (sys.executable, "-c", FLOOR),
            "--help": (*cli, "--help"),
            "ps": (*cli, "ps"),
            "ps -o json": (*cli, "ps", "-o", "json"),
            "ps --all --state failed --limit 50": (*cli, "ps", "--all", "--state", "failed", "--limit", "50"),
            "status": (*cli, "status"),
            "queue ls": (*cli, "queue", "ls"),
            "job show": (*cli, "job", "show", str(samples["failed"])),
            "job why": (*cli, "job", "why", str(samples["waiting"])),
        }
        rounds = [{name: _seconds(here, command) for name, command in asked.items()} for _ in range(ASKED)]
    seconds = {name: round(median(one[name] for one in rounds[1:]), 3) for name in asked}
    return Desk(kind, jobs, round(grown / 1e6, 1), seconds)


def samples_of(here: House) -> dict[str, int]:
    """The job of each state that is copied."""
    worker = add_worker(here.database)
    ends: Mapping[str, Mapping[str, Any]] = {
        "succeeded": {"outcome": Outcome.SUCCEEDED},
        "failed": {
            "outcome": Outcome.FAILED,
            "reason": FailureReason.OUT_OF_MEMORY,
            "message": "out of memory at batch 1",
        },
    }
    found = {}
    for name, end in ends.items():
        found[name] = add(here.database, name=name)
        queue(here.database, 1)
        act(here.database, finish, claimed(here.database, worker), **end)
    for number in range(RUNNING):
        add(here.database, name="running")
        queue(here.database, 1)
        claimed(here.database, add_worker(here.database, number=number, host=f"host-{number}"))
    found["waiting"] = add(here.database, name="waiting")
    return found


def copy_job(session: Session, job_id: int, count: int) -> None:
    """Add so many copies of a job of one task, and of all its rows."""
    last = int(session.scalars(select(func.max(Job.id))).one() or 0)
    number = select(literal(1).label("value")).cte("number", recursive=True)
    number = number.union_all(select(number.c.value + 1).where(number.c.value < count))
    numbers = select(number.c.value).subquery()
    _insert(session, Job, Job.id == job_id, numbers, {})
    jobs = select(Job.id).where(Job.id > last).subquery()
    _insert(session, Task, Task.job_id == job_id, jobs, {"job_id": jobs.c.id})
    tasks = select(Task.id, Task.job_id).where(Task.job_id > last).subquery()
    copied = select(Task.id).where(Task.job_id == job_id)
    _insert(session, Attempt, Attempt.task_id.in_(copied), tasks, {"task_id": tasks.c.id})
    of_job, of_task = Event.job_id == job_id, Event.task_id.is_not(None)
    _insert(session, Event, of_job & of_task, tasks, {"job_id": tasks.c.job_id, "task_id": tasks.c.id})
    _insert(session, Event, of_job & ~of_task, jobs, {"job_id": jobs.c.id})


def _insert(
    session: Session,
    table: type[Table],
    of: ColumnElement[bool],
    each: Subquery,
    changes: Mapping[str, ColumnElement[Any]],
) -> None:
    """Copy the rows of a table once for each row of `each`; the database numbers them."""
    names = [column.name for column in table.__table__.columns if column.name != "id"]
    values = [changes.get(name, table.__table__.columns[name]) for name in names]
    session.execute(insert(table).from_select(names, select(*values).join_from(table, each, literal(True)).where(of)))


def _seconds(here: House, command: tuple[str, ...]) -> float:
    environment = os.environ | {"PIXMILL_HOME": str(here.home), "PIXMILL_DATABASE_URL": here.url}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed pixmill is not compiled at every start
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr.decode()  # 1: `status` found no scheduler, and is right
    return time.perf_counter() - began


def main() -> None:
    """Measure on each database, print the table, and write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.desk", description="the command line beside very many jobs")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--database", action="append", choices=DATABASES)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    desks = []
    for kind in arguments.database or DATABASES:
        desks.append(measure(kind, arguments.jobs))
        print(f"{kind}, {arguments.jobs:,} jobs, {desks[-1].database_megabytes:,} MB", flush=True)
        for name, seconds in desks[-1].seconds.items():
            print(f"  {name:36}{seconds:8.3f} s{seconds / desks[-1].seconds[FLOOR]:7.2f} ×", flush=True)
    store(arguments, ("jobs",), [asdict(desk) for desk in desks])


if __name__ == "__main__":
    main()

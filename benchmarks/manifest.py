"""What the rows of images cost: microseconds and bytes each, and how quickly a job of 100 million is looked at.

    python -m benchmarks.manifest [--images 1000000] [--shards 10000] [--database sqlite|postgresql] [--json FILE]

First the tables and rows of `--images` images in shards of 10,000: the Parquet file of each is packed and made
durable, and its row published by the lease of a task, each in a transaction of its own. Microseconds are of this
process's time on the processor; those of a PostgreSQL server are added. Then a job of `--shards` shards whose rows are
simulated, with the tasks, attempts and events that it would have left: the size of the database, and what asks for it
inside a warm process, as the command line does. No file of such a shard exists: whoever opened one would fail.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from click.testing import CliRunner
from sqlalchemy import delete, func, insert, select, text, update

from benchmarks.machine import store
from benchmarks.pickup import DATABASES, database_server
from cli.main import command
from db.engine import Database, open_database
from db.leases import Lease, publish_shard
from db.listing import job_line
from db.schema import upgrade_schema
from db.tables.fleet import Worker
from db.tables.jobs import Attempt, Event, Job, Outcome, Task
from db.tables.published import Shard
from pixmill.settings import load_settings
from pixmill.specs import GenerateSpec
from pixmill.states import State
from scheduler.pace import Pace
from scheduler.plan import plan_generate
from storage.atomic import write_atomic
from storage.manifest import ManifestBlock, manifest_bytes
from storage.png import ENCODER
from storage.records import ShardRecord
from storage.shards import ShardMeta
from tests.rows import act, add, add_worker, claimed, queue

SHARD_IMAGES = 10_000
BLOCK_IMAGES = 85  # images of 64×64 RGB that are encoded at a time
FILE_BYTES = 7_700
ASKED = 7  # times; the first is not counted
TASK_RESULT = {
    "made": 50_000,
    "making_seconds": 42.0,
    "spent": {"device": 30.1, "encode": 10.2, "disk": 1.7},
}
META = ShardMeta(checkpoint_sha256="0" * 64, precision="fp32", seed=1)


@dataclass(frozen=True)
class Rows:
    """What the rows of the images cost, each."""

    database: str
    images: int
    table_microseconds: float
    table_bytes: float
    database_microseconds: float
    database_bytes: float


@dataclass(frozen=True)
class Looks:
    """How a large job is looked at, milliseconds, medians."""

    database: str
    images: int
    shards: int
    tasks: int
    database_megabytes: float
    milliseconds: Mapping[str, float]


class House:
    """An empty home on a database of its own."""

    def __init__(self, kind: str, home: Path, url: str) -> None:
        self.kind, self.home, self.url = kind, home, url
        self.database: Database = open_database(load_settings(flags={"home": home, "database.url": url}))
        upgrade_schema(self.database)

    def size_bytes(self) -> int:
        """Of the database: its pages, or what the server says."""
        pages = text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        asked = pages if self.kind == "sqlite" else select(func.pg_database_size(func.current_database()))
        with self.database.read() as session:
            return int(session.scalar(asked) or 0)

    def cpu_seconds(self) -> float:
        """Of this process and of the server."""
        servers = [child for child in psutil.Process().children(recursive=True) if child.name() == "postgres"]
        return time.process_time() + sum(sum(child.cpu_times()[:2]) for child in servers)

    def ask(self, *words: str) -> str:
        """Run a command in this process; gives what it prints."""
        settings = {"PIXMILL_HOME": str(self.home), "PIXMILL_DATABASE_URL": self.url}
        answer = CliRunner().invoke(command, list(words), env=settings)
        assert answer.exit_code == 0, answer.output
        return answer.stdout


@contextmanager
def house(kind: str) -> Iterator[House]:
    """One that is gone afterwards."""
    with TemporaryDirectory(prefix="pixmill-", dir="/tmp") as name, database_server(kind, Path(name)) as url:
        here = House(kind, Path(name) / "home", url)
        try:
            yield here
        finally:
            here.database.dispose()


def measure_rows(here: House, images: int) -> Rows:
    """Pack tables and publish their shards."""
    shards = images // SHARD_IMAGES
    lease = _job(here, images)
    before = here.size_bytes()
    table_bytes, of_tables, of_database = 0, 0.0, 0.0
    for number in range(shards):
        blocks = _blocks(number * SHARD_IMAGES)
        started = time.process_time()
        table = manifest_bytes(blocks, 64, 64, META, {"name": ENCODER.name, "version": ENCODER.version})
        digest = write_atomic(here.home / "table.parquet", table)
        packed = time.process_time()
        began = here.cpu_seconds()
        act(here.database, publish_shard, lease, Shard(**_shard(lease.job_id, lease.task_id, lease.folder, number)))
        of_database += here.cpu_seconds() - began
        of_tables += packed - started
        table_bytes += digest.size_bytes
    grown = here.size_bytes() - before
    each = 1e6 / images
    return Rows(here.kind, images, of_tables * each, table_bytes / images, of_database * each, max(0, grown) / images)


def measure_looks(here: House, shards: int) -> Looks:
    """Simulate the rows of a job that has ended, and ask for it."""
    images = shards * SHARD_IMAGES
    before = here.size_bytes()
    job = _job(here, images).job_id
    tasks = _simulate(here, job, images)
    grown = here.size_bytes() - before
    asked: dict[str, Callable[[], object]] = {
        "status query": lambda: _read_line(here, job),
        "ps": lambda: here.ask("ps"),
        "job show": lambda: here.ask("job", "show", str(job)),
        "output ls": lambda: here.ask("output", "ls"),
        "output show": lambda: here.ask("output", "show", str(job)),
    }
    found = {name: _milliseconds(function) for name, function in asked.items()}
    return Looks(here.kind, images, shards, tasks, round(grown / 1e6, 2), found)


def _job(here: House, images: int) -> Lease:
    """A generate job of so many images, of which a worker has claimed a task."""
    spec = GenerateSpec(model="digits@1", n=images, shard_size=SHARD_IMAGES)
    stored = spec.model_dump(mode="json")
    plan = plan_generate(spec, lambda: Pace(devices=1))
    add(here.database, kind="generate", name="large", spec=stored, tasks=plan.tasks, progress_total=images)
    queue(here.database, 1)
    return claimed(here.database, add_worker(here.database))


def _blocks(first: int) -> list[ManifestBlock]:
    rng = np.random.default_rng(first)
    digests = rng.bytes(32 * SHARD_IMAGES)
    sizes = rng.integers(FILE_BYTES - 500, FILE_BYTES + 500, SHARD_IMAGES)
    offsets = np.cumsum(sizes + 1024) - sizes
    blocks = []
    for start in range(0, SHARD_IMAGES, BLOCK_IMAGES):
        part = slice(start, min(start + BLOCK_IMAGES, SHARD_IMAGES))
        rows = range(part.start, part.stop)
        seeds, labels = np.full(len(rows), 1), np.arange(part.start, part.stop) % 10
        hashes = [digests[32 * row : 32 * row + 32] for row in rows]
        blocks.append(ManifestBlock(first + start, seeds, labels, hashes, offsets[part].tolist(), sizes[part].tolist()))
    return blocks


def _shard(job_id: int, task_id: int, folder: str, number: int) -> dict[str, Any]:
    record = ShardRecord(
        number=number,
        first_index=number * SHARD_IMAGES,
        count=SHARD_IMAGES,
        tar_sha256=f"{number:064x}",
        tar_bytes=FILE_BYTES * SHARD_IMAGES,
        parquet_sha256=f"{number:064x}",
        parquet_bytes=35 * SHARD_IMAGES,
    )
    return {
        "job_id": job_id,
        "task_id": task_id,
        "lease_epoch": 1,
        "number": number,
        "folder": folder,
        "record": record.to_json(),
        "image_count": SHARD_IMAGES,
        "size_bytes": record.tar_bytes + record.parquet_bytes,
    }


def _simulate(here: House, job: int, images: int) -> int:
    """All rows that the job would have left, as if one worker had made it without a fault; the number of tasks."""
    now = datetime.now(UTC)
    with here.database.write() as session:
        tasks = list(session.scalars(select(Task).where(Task.job_id == job).order_by(Task.number)))
        worker = session.scalars(select(Worker.id)).first()
        ends = {"state": State.SUCCEEDED, "started_at": now, "finished_at": now, "lease_epoch": 1, "worker_id": None}
        session.execute(update(Job).where(Job.id == job).values(state=State.SUCCEEDED, started_at=now, finished_at=now))
        session.execute(delete(Attempt))
        shards, attempts, events = [], [], []
        for task in tasks:
            folder = f"runs/{job}/{task.id}/1"
            held = {"task_id": task.id, "lease_epoch": 1, "worker_id": worker, "folder": folder, "started_at": now}
            attempts.append({**held, "outcome": Outcome.SUCCEEDED, "finished_at": now})
            states = ("pending", "queued", "running", "succeeded")
            moves = zip(("queue", "claim", "finish"), states[:-1], states[1:], strict=True)
            events += [
                {
                    "job_id": job,
                    "task_id": task.id,
                    "actor": "scheduler",
                    "action": verb,
                    "from_state": a,
                    "to_state": b,
                }
                for verb, a, b in moves
            ]
            mine = range(
                task.params.get("first_shard", 0), task.params.get("first_shard", 0) + task.params.get("shards", 0)
            )
            shards += [_shard(job, task.id, folder, number) for number in mine]
            told = {**ends, "result": TASK_RESULT, "progress_done": len(mine) * SHARD_IMAGES}
            session.execute(update(Task).where(Task.id == task.id).values(**told))
        result = {
            "images": images,
            "shards": len(shards),
            "bytes": sum(shard["size_bytes"] for shard in shards),
            "model": "digits@1",
            "output": f"outputs/{job}",
            "format": "webdataset",
        }
        session.execute(update(Task).where(Task.id == tasks[-1].id).values(result=result))
        for table, rows in ((Attempt, attempts), (Event, events), (Shard, shards)):
            session.execute(insert(table), rows)
    return len(tasks)


def _read_line(here: House, job: int) -> None:
    with here.database.read() as session:
        job_line(session, job)


def _milliseconds(function: Callable[[], object]) -> float:
    found = []
    for _ in range(ASKED):
        began = time.perf_counter()
        function()
        found.append(1000 * (time.perf_counter() - began))
    return round(median(found[1:]), 1)


def print_rows(row: Rows) -> None:
    """One line."""
    table = f"table {row.table_microseconds:.2f} µs, {row.table_bytes:.1f} B"
    database = f"database {row.database_microseconds:.3f} µs, {row.database_bytes:.3f} B"
    print(f"{row.database:12}{row.images:>12,} images: {table}; {database}", flush=True)


def print_looks(look: Looks) -> None:
    """One line."""
    asked = ", ".join(f"{name} {value} ms" for name, value in look.milliseconds.items())
    head = f"{look.database:12}{look.images:>12,} images, {look.tasks:,} tasks"
    print(f"{head}: {look.database_megabytes} MB; {asked}", flush=True)


def main() -> None:
    """Measure on each database, print both tables, and write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.manifest", description="what the rows of images cost")
    parser.add_argument("--images", type=int, default=1_000_000, help="whose tables and rows are written")
    parser.add_argument("--shards", type=int, default=10_000, help="of 10,000 images, whose rows are simulated")
    parser.add_argument("--database", action="append", choices=DATABASES)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows, looks = [], []
    for kind in arguments.database or DATABASES:
        with house(kind) as here:
            rows.append(measure_rows(here, arguments.images))
        print_rows(rows[-1])
        with house(kind) as here:
            looks.append(measure_looks(here, arguments.shards))
        print_looks(looks[-1])
    found = {"rows": [asdict(row) for row in rows], "looks": [asdict(look) for look in looks]}
    store(arguments, ("images", "shards"), found)


if __name__ == "__main__":
    main()

"""Everything that the database remembers, in one look."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import select

from db.engine import Database
from db.tables.fleet import Worker
from db.tables.jobs import Attempt, Event, Job, Task
from db.tables.models import ModelVersion
from db.tables.published import Checkpoint, Shard
from db.timeline import STEPPED
from tests.faults.witness import Move, Save, read_witness

Row = TypeVar("Row")


@dataclass(frozen=True)
class History:
    """The rows of one database, by id."""

    jobs: Sequence[Job]
    tasks: Sequence[Task]
    attempts: Sequence[Attempt]  # by task, then epoch
    events: Sequence[Event]
    checkpoints: Sequence[Checkpoint]
    shards: Sequence[Shard]  # by job, then number
    versions: Sequence[ModelVersion]
    workers: Sequence[Worker]
    moves: Sequence[Move] = field(default=())
    saves: Sequence[Save] = field(default=())

    def has_stepped(self, task: Task) -> bool:
        """Whether epochs of lost rows were passed over: the database was restored from a copy."""
        return any(event.action == STEPPED for event in self.events_of_task[task.id])

    def of_job(self, job_id: int) -> "History":
        """What belongs to one job alone."""
        tasks = [task for task in self.tasks if task.job_id == job_id]
        ids = {task.id for task in tasks}
        return History(
            jobs=[job for job in self.jobs if job.id == job_id],
            tasks=tasks,
            attempts=[row for row in self.attempts if row.task_id in ids],
            events=[row for row in self.events if row.job_id == job_id],
            checkpoints=[row for row in self.checkpoints if row.task_id in ids],
            shards=[row for row in self.shards if row.job_id == job_id],
            versions=[row for row in self.versions if row.job_id == job_id],
            workers=self.workers,
            moves=[move for move in self.moves if move.task_id in ids],
            saves=[save for save in self.saves if save.task_id in ids],
        )

    @cached_property
    def job_by_id(self) -> dict[int, Job]:
        return {job.id: job for job in self.jobs}

    @cached_property
    def task_by_id(self) -> dict[int, Task]:
        return {task.id: task for task in self.tasks}

    @cached_property
    def tasks_of_job(self) -> dict[int, list[Task]]:
        return grouped(self.tasks, "job_id")

    @cached_property
    def attempts_of_task(self) -> dict[int, list[Attempt]]:
        return grouped(self.attempts, "task_id")

    @cached_property
    def events_of_task(self) -> dict[int, list[Event]]:
        return grouped((event for event in self.events if event.task_id is not None), "task_id")

    @cached_property
    def shards_of_job(self) -> dict[int, list[Shard]]:
        return grouped(self.shards, "job_id")

    @cached_property
    def versions_of_job(self) -> dict[int, list[ModelVersion]]:
        return grouped(self.versions, "job_id")

    @cached_property
    def saves_of_task(self) -> dict[int, list[Save]]:
        return grouped(self.saves, "task_id")

    @cached_property
    def moves_of_task(self) -> dict[int, list[Move]]:
        return grouped(self.moves, "task_id")

    @cached_property
    def worker_by_id(self) -> dict[int, Worker]:
        return {worker.id: worker for worker in self.workers}


def read_history(database: Database) -> History:
    """All rows of one moment.  Raises DatabaseUnreachable."""
    with database.read() as session:
        rows: dict[str, Any] = {
            "jobs": session.scalars(select(Job).order_by(Job.id)).all(),
            "tasks": session.scalars(select(Task).order_by(Task.id)).all(),
            "attempts": session.scalars(select(Attempt).order_by(Attempt.task_id, Attempt.lease_epoch)).all(),
            "events": session.scalars(select(Event).order_by(Event.id)).all(),
            "checkpoints": session.scalars(select(Checkpoint).order_by(Checkpoint.id)).all(),
            "shards": session.scalars(select(Shard).order_by(Shard.job_id, Shard.number)).all(),
            "versions": session.scalars(select(ModelVersion).order_by(ModelVersion.id)).all(),
            "workers": session.scalars(select(Worker).order_by(Worker.id)).all(),
        }
        moves, saves = read_witness(session)
    return History(**rows, moves=moves, saves=saves)


def grouped(rows: Iterable[Row], attribute: str) -> dict[int, list[Row]]:
    """Rows by an id that they refer to, each list in the order given."""
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[getattr(row, attribute)].append(row)
    return found

"""Rows for tests, added by the very functions that the product uses."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from db.arrays import NewArray
from db.claims import claim
from db.dispatch import WakeUp, queue_ready_tasks
from db.engine import Database
from db.jobs import NewJob, NewTask, add_job, add_jobs
from db.lanes import Slot
from db.leases import Lease
from db.moves import add_event
from db.tables.fleet import DeviceKind, Worker
from db.tables.jobs import Job, Role, Task
from db.tables.models import Dataset, ModelVersion
from db.tables.published import Checkpoint, CheckpointKind, Shard
from db.timeline import RESTORED
from db.views import job_tasks
from db.workers import DeviceFacts, register_worker
from pixmill.states import State

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

ONE_TASK = (NewTask(role=Role.TRAIN, params={}),)
TWO_TASKS = (NewTask(role=Role.GENERATE, params={"first_shard": 0}), NewTask(role=Role.GENERATE, params={}))
CHAIN = (*TWO_TASKS, NewTask(role=Role.ASSEMBLE, params={}, after=(0, 1)))


def new_job(**changes: Any) -> NewJob:
    values: dict[str, Any] = {
        "kind": "train",
        "name": "line",
        "spec": {"kind": "train", "model": "vae", "dataset": "digits"},
        "spec_digest": "0" * 64,
        "options": {},
        "queue": "default",
        "priority": 0,
        "device_kind": None,
        "key": None,
        "labels": {},
        "user_name": "ann",
        "begin_at": None,
        "hold": False,
        "parents": {},
        "progress_total": 100,
        "tasks": ONE_TASK,
    }
    return NewJob(**(values | changes))


def act(
    database: Database,
    function: Callable[Concatenate[Session, Parameters], Result],
    *args: Parameters.args,
    **options: Parameters.kwargs,
) -> Result:
    """Call a function of db in a transaction of its own."""
    return database.transact(lambda session: function(session, *args, **options))


def add(database: Database, **changes: Any) -> int:
    """Add a job; gives its id."""
    return database.transact(lambda session: add_job(session, new_job(**changes)))


def add_array(database: Database, indices: Iterable[int], limit: int | None = None, **changes: Any) -> list[int]:
    """Add the jobs of an array, by index; gives their ids."""
    listed = list(indices)
    array = NewArray(
        name="line", size=len(listed), max_running=limit, key=changes.pop("key", None), digest="0" * 64, user_name="ann"
    )
    new = [new_job(**changes, array=array, array_index=index) for index in listed]
    return database.transact(lambda session: add_jobs(session, new))


def add_worker(
    database: Database, kind: DeviceKind = DeviceKind.CPU, host: str = "here", number: int = 0, width: int = 1
) -> Worker:
    name = "cpu" if kind is DeviceKind.CPU else f"cuda:{number}"
    name = name if width == 1 else f"{kind.value}:{number}-{number + width - 1}"
    facts = DeviceFacts(host=host, name=name, kind=kind, model="a device", memory_bytes=2**34, width=width)
    return act(database, register_worker, facts, pid=1000 + number)


def say_restored(database: Database) -> None:
    """Let an operator have said that files without a row, so far, are of a database that is gone."""
    database.transact(lambda session: add_event(session, actor="olga", action=RESTORED))


def queue(database: Database, count: int = 100, kind: DeviceKind = DeviceKind.CPU, width: int = 1) -> list[WakeUp]:
    return act(database, queue_ready_tasks, Slot(kind, width), count)


def folder(job_id: int, task_id: int, epoch: int) -> str:
    return f"runs/{job_id}/{task_id}/{epoch}"


def try_claim(database: Database, worker: Worker, hint: tuple[int, int] | None = None) -> Lease | None:
    return act(database, claim, worker, hint, folder)


def claimed(database: Database, worker: Worker, hint: tuple[int, int] | None = None) -> Lease:
    lease = try_claim(database, worker, hint)
    assert lease is not None
    return lease


def running(database: Database, **changes: Any) -> Lease:
    """A job that a worker has just claimed."""
    add(database, **changes)
    queue(database)
    return claimed(database, add_worker(database))


def job(database: Database, job_id: int) -> Job:
    with database.read() as session:
        return session.get_one(Job, job_id)


def task(database: Database, task_id: int) -> Task:
    with database.read() as session:
        return session.get_one(Task, task_id)


def tasks(database: Database, job_id: int) -> Sequence[Task]:
    with database.read() as session:
        return job_tasks(session, job_id)


def states(database: Database, job_id: int) -> list[State]:
    return [row.state for row in tasks(database, job_id)]


def checkpoint(lease: Lease, images: int, **changes: Any) -> Checkpoint:
    values: dict[str, Any] = {
        "task_id": lease.task_id,
        "lease_epoch": lease.epoch,
        "kind": CheckpointKind.LAST,
        "images_seen": images,
        "path": f"{lease.folder}/state-{images:09}.pt",
        "sha256": f"{images:064x}",
        "size_bytes": 10,
    }
    return Checkpoint(**(values | changes))


def shard(lease: Lease, number: int) -> Shard:
    return Shard(
        job_id=lease.job_id,
        task_id=lease.task_id,
        lease_epoch=lease.epoch,
        number=number,
        folder=lease.folder,
        record={"sha256": "0" * 64},
        image_count=100,
        size_bytes=1000,
    )


def version(job_id: int, dataset: Dataset, **changes: Any) -> ModelVersion:
    values: dict[str, Any] = {
        "job_id": job_id,
        "dataset_id": dataset.id,
        "preset": "vae",
        "folder": f"runs/{job_id}/1/1/model",
        "digest": "0" * 64,
        "image_size": 16,
        "channels": 1,
        "classes": ["0", "1", "2"],
        "images_seen": 1000,
        "lineage": {},
    }
    return ModelVersion(**(values | changes))


def nothing(_session: Session) -> Mapping[str, Any]:
    """What to publish when a task has no result."""
    return {}


def run_all(*acts: Callable[[], Any]) -> list[Any]:
    """Run all at the same moment, each in its own thread; gives what they gave or raised."""
    barrier = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)

    def run(number: int, act: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[number] = act()
        except Exception as error:  # noqa: BLE001  handed to the test
            results[number] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    return results

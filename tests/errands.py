"""What tests have done by many processes at once. Imports the product alone, so that a process starts quickly."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from multiprocessing.queues import Queue
from typing import Any

from db.datasets import NewDataset, register_dataset
from db.engine import open_database
from db.schema import prepare_schema
from pixmill.settings import Settings, load_settings
from pixmill.specs import JobOptions, TrainSpec
from scheduler.submit import Submitted, submit

Errand = Callable[[Settings], Any]


def prepare_once(settings: Settings) -> str:
    prepare_schema(open_database(settings))
    return "prepared"


def submit_once(settings: Settings) -> Submitted:
    spec = TrainSpec(model="vae", dataset="digits")
    return submit(open_database(settings), settings, spec, JobOptions(key="the one"), user="ann")


def register_once(settings: Settings) -> str:
    described = {"image_size": 8, "channels": 1, "images": 2, "fingerprint": "f" * 64}
    own = {**described, "content_fingerprint": f"{os.getpid():064x}"}
    new = NewDataset(name="one", source="folder:/a", on_bad_image="fail", description=own, user_name="ann")
    return open_database(settings).transact(lambda session: register_dataset(session, new)).value


def run_in_processes(errand: Errand, flags: dict[str, Any], count: int) -> Sequence[Any]:
    """What `count` processes gave or raised, first done first."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.errands", "scheduler.broker", "alembic.command", "psycopg"])
    results: Queue[Any] = context.Queue()
    processes = [context.Process(target=_run, args=(errand, flags, results)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    return found


def _run(errand: Errand, flags: dict[str, Any], results: "Queue[Any]") -> None:
    try:
        results.put(errand(load_settings(flags=flags)))
    except Exception as error:  # noqa: BLE001  handed to the test
        results.put(repr(error))

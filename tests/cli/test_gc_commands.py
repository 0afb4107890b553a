"""`gc plan` and `gc run` on real rows and files, alone and beside workers that claim and publish."""

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cli.doctor.collection import Collection
from db.claims import claim
from db.dispatch import queue_ready_tasks
from db.engine import Database
from db.lanes import Slot
from db.leases import Lease, finish, give_back, publish_checkpoint, publish_shard
from db.tables.fleet import DeviceKind
from db.tables.jobs import Event, Outcome
from db.tables.published import Checkpoint
from pixmill.errors import StorageError
from storage.garbage.verdicts import Standing, Waste
from storage.garbage.weighing import Usage
from tests import rows
from tests.cli.running import Runner, Terminal
from tests.cli.world import World

OLD = 10_000.0  # seconds


def write(root: Path, folder: str, *names: str, age_seconds: float = 0.0) -> None:
    at = time.time() - age_seconds
    written = [root / folder / name for name in names]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0123456789")
    for path in (*written, *{path.parent for path in written}, root / folder):
        os.utime(path, (at, at))


def there(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in (root / "runs").rglob("*") if path.is_file()}


def preempted(world: World, lease: Lease) -> Lease:
    """The task's next attempt, after the worker of this one was stopped."""
    world.database.transact(lambda session: give_back(session, lease))
    return world.claim(world.worker())


@pytest.fixture
def trained(world: World) -> Lease:
    """A train job of two attempts, of which the second one published; 90 bytes may go."""
    world.train()
    first = world.claim(world.worker())
    write(world.root, first.folder, "log.txt", "losses.jsonl", "state-000000010.pt", "best-000000010/model.json")
    second = preempted(world, first)
    write(world.root, second.folder, "log.txt", "state-000000020.pt", "state-000000030.pt", "model/model.json")
    row = rows.checkpoint(second, 30)
    world.database.transact(lambda session: publish_checkpoint(session, second, row))
    write(world.root, second.folder, ".state-000000040.pt.9-ab.tmp", age_seconds=OLD)
    world.succeed_training(second)
    write(world.root, "runs/900/901/1", "state-000000010.pt", "log.txt", age_seconds=OLD)
    write(world.root, "runs/900/902/1", "log.txt", age_seconds=60)
    write(world.root, "runs/notes", "todo.txt")
    rows.say_restored(world.database)
    return second


def test_the_plan_tells_what_goes_what_stays_and_why(run: Runner, world: World, trained: Lease) -> None:
    before = there(world.root)
    item = run("gc", "plan", "-o", "json").json["item"]
    assert {reason: line["bytes"] for reason, line in item["goes"].items()} == {
        "left": 20,
        "orphan": 20,
        "unpublished": 10,
        "temporary": 10,
        "trash": 0,
    }
    assert {reason: line["files"] for reason, line in item["stays"].items()} == {
        "live": 0,
        "published": 3,
        "latest": 0,
        "history": 2,
        "later": 0,
        "unclaimed": 0,
        "young": 1,
        "stranger": 0,
    }
    assert item["stays"]["stranger"]["folders"] == 1
    assert item["resume_states"] == {"files": 1, "bytes": 10}
    assert {"path": "runs/900/901/1", "reason": "orphan", "files": 2, "bytes": 20} in item["items"]
    assert len(item["items"]) == 5

    found = run("gc", "plan")
    assert found.code == 0
    assert "goes   left" in found.out
    assert "older attempts that no row refers to" in found.out
    assert "no attempt row, but younger than 1h" in found.out
    assert "stays  resume" in found.out
    assert "6 files (60 B) would go: pixmill gc run" in found.err
    assert there(world.root) == before


def test_the_run_removes_just_what_was_planned_and_says_so_in_an_event(
    run: Runner, world: World, trained: Lease
) -> None:
    found = run("gc", "run", "-y")
    assert (found.code, found.out) == (0, "")
    assert found.err == "removed 6 files, 60 B\n"
    first = trained.folder.removesuffix("2") + "1"
    assert there(world.root) == {
        f"{first}/log.txt",
        f"{first}/losses.jsonl",
        f"{trained.folder}/log.txt",
        f"{trained.folder}/state-000000030.pt",
        f"{trained.folder}/model/model.json",
        "runs/900/902/1/log.txt",
        "runs/notes/todo.txt",
    }
    with world.database.read() as session:
        (event,) = session.scalars(select(Event).where(Event.action == "collect_garbage")).all()
    assert (event.job_id, event.detail) == (None, "removed 6 files, 60 B")

    assert run("gc", "run", "-y").err == "nothing to remove\n"
    assert run("gc", "run", "-y", "--grace", "10s").err == "removed 1 file, 10 B\n"
    assert not (world.root / "runs/900").exists()


def test_an_empty_home_has_nothing_to_remove(run: Runner, world: World) -> None:
    assert "nothing to remove" in run("gc", "plan").err
    assert run("gc", "plan", "-o", "json").json["item"]["items"] == []
    assert run("gc", "run", "-y").err == "nothing to remove\n"


def test_without_a_terminal_and_a_yes_nothing_is_removed(run: Runner, world: World, trained: Lease) -> None:
    before = there(world.root)
    found = run("gc", "run")
    assert (found.code, found.out) == (2, "")
    assert "remove 6 files (60 B): nobody can be asked" in found.err
    assert "hint:  add -y" in found.err
    assert there(world.root) == before


def test_on_a_terminal_the_answer_is_no_unless_it_is_yes(world: World, trained: Lease) -> None:
    before = there(world.root)
    asked = Terminal("gc", "run")
    assert "[y/N]" in asked.read_until("[y/N]")
    asked.type("\n")
    found = asked.finish()
    assert found.code == 1
    assert "nothing was changed" in found.out
    assert there(world.root) == before

    asked = Terminal("gc", "run")
    asked.read_until("[y/N]")
    asked.type("y\n")
    found = asked.finish()
    assert found.code == 0
    assert "removed 6 files, 60 B" in found.out
    assert there(world.root) < before


def test_a_database_that_knows_none_of_the_folders_removes_none(run: Runner, world: World) -> None:
    write(world.root, "runs/1/1/1", "state-000000010.pt", age_seconds=OLD)
    before = there(world.root)
    found = run("gc", "run", "-y")
    assert found.code == 4
    assert "knows not one of the attempts" in found.err
    assert "hint:  pixmill config show --sources" in found.err
    assert there(world.root) == before
    assert "knows not one of the attempts" in run("gc", "plan").err


def test_a_folder_that_became_a_link_since_the_walk_is_refused(world: World, trained: Lease) -> None:
    first = trained.folder.removesuffix("2") + "1"
    collection = Collection(world.database, world.root, 3600.0)
    sights = {sight.judgement.folder.path: sight for sight in collection.walk() if sight.judgement}
    (world.root / first).rename(world.root / "moved")
    (world.root / first).symlink_to(world.root / "moved")
    with pytest.raises(StorageError, match="cannot remove"):
        collection.clear(sights[first])
    assert (world.root / "moved/state-000000010.pt").exists()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def standings(database: Database, root: Path, grace_seconds: float = 3600.0) -> dict[str, Standing]:
    sights = Collection(database, root, grace_seconds).walk()
    return {sight.judgement.folder.path: sight.judgement.standing for sight in sights if sight.judgement}


def collect(database: Database, root: Path, grace_seconds: float = 3600.0) -> Usage:
    collection = Collection(database, root, grace_seconds)
    return Usage.total(collection.clear(sight) for sight in collection.walk())


def test_a_claim_makes_a_folder_live_and_the_next_one_leaves_it(database: Database, root: Path) -> None:
    lease = rows.running(database)
    write(root, lease.folder, "state-000000010.pt", "log.txt", age_seconds=OLD)
    assert standings(database, root) == {lease.folder: Standing.LIVE}
    rows.act(database, give_back, lease)
    assert standings(database, root) == {lease.folder: Standing.LATEST}
    rows.queue(database)
    rows.claimed(database, rows.add_worker(database))
    assert standings(database, root) == {lease.folder: Standing.LEFT}
    assert collect(database, root) == Usage(1, 10)
    assert there(root) == {f"{lease.folder}/log.txt"}


def test_a_checkpoint_of_an_older_attempt_stays_while_its_row_does(database: Database, root: Path) -> None:
    lease = rows.running(database)
    write(root, lease.folder, "state-000000010.pt", "state-000000005.pt")
    rows.act(database, publish_checkpoint, lease, rows.checkpoint(lease, 10))
    rows.act(database, give_back, lease)
    rows.queue(database)
    second = rows.claimed(database, rows.add_worker(database))
    assert standings(database, root) == {lease.folder: Standing.PUBLISHED}
    assert collect(database, root) == Usage()  # the task has not ended: an operator may still look
    for images in (20, 30):
        rows.act(database, publish_checkpoint, second, rows.checkpoint(second, images))
    assert standings(database, root) == {lease.folder: Standing.LEFT}
    assert collect(database, root) == Usage(2, 20)


def test_a_published_shard_stays_and_one_without_a_row_goes(database: Database, root: Path) -> None:
    lease = rows.running(database)
    shards = [f"shard-00000{number}.{ending}" for number in (0, 1) for ending in ("tar", "parquet", "json")]
    write(root, lease.folder, *shards)
    rows.act(database, publish_shard, lease, rows.shard(lease, 0))
    rows.act(database, finish, lease, Outcome.CANCELLED)
    assert collect(database, root) == Usage(3, 30)
    assert there(root) == {f"{lease.folder}/{name}" for name in shards[:3]}


def test_what_became_live_after_the_walk_is_judged_again(database: Database, root: Path) -> None:
    """A folder seen without its row, as after a restored database, is claimed before its turn to be cleared comes."""
    rows.running(database)
    job_id = rows.add(database)
    (task,) = rows.tasks(database, job_id)
    write(root, rows.folder(job_id, task.id, 1), "state-000000010.pt", age_seconds=OLD)
    rows.say_restored(database)
    collection = Collection(database, root, 3600.0)
    (sight,) = list(collection.walk())
    assert [scrap.waste for scrap in sight.scraps] == [Waste.ORPHAN]
    rows.queue(database)
    assert rows.claimed(database, rows.add_worker(database)).task_id == task.id
    assert collection.clear(sight) == Usage()
    assert len(there(root)) == 1


class Claimer(threading.Thread):
    """A worker that claims, writes at once, publishes and gives back, again and again."""

    def __init__(self, database: Database, root: Path, stop: threading.Event) -> None:
        super().__init__()
        self._database, self._root, self._stopping = database, root, stop
        self._worker = rows.add_worker(database)
        self.rounds = 0
        self.error: BaseException | None = None
        self.published: set[str] = set()

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._work()
                self.rounds += 1
        except BaseException as error:  # noqa: BLE001  handed to the test
            self.error = error

    def _work(self) -> None:
        self._database.transact(lambda session: queue_ready_tasks(session, Slot(DeviceKind.CPU), 1))
        lease = self._database.transact(lambda session: claim(session, self._worker, None, rows.folder))
        assert lease is not None
        images = self.rounds + 1
        name = f"state-{images:09}.pt"
        write(self._root, lease.folder, name, "log.txt", age_seconds=OLD)  # no grace may be what saves it
        row = rows.checkpoint(lease, images)
        self._database.transact(lambda session: publish_checkpoint(session, lease, row))
        assert (self._root / row.path).exists(), f"{row.path} was removed"
        self._database.transact(lambda session: give_back(session, lease))


def test_a_collection_beside_a_worker_never_takes_what_it_has_just_written(database: Database, root: Path) -> None:
    rows.add(database)
    stop = threading.Event()
    claimer = Claimer(database, root, stop)
    claimer.start()
    removed = Usage()
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline and claimer.is_alive():
        removed += collect(database, root, grace_seconds=0.001)
    stop.set()
    claimer.join(timeout=30)
    assert claimer.error is None
    assert claimer.rounds > 3
    collect(database, root)
    kept = {path for path in there(root) if path.endswith(".pt")}
    with database.read() as session:
        needed = set(session.scalars(select(Checkpoint.path)))
    assert kept == needed
    assert len(there(root)) == claimer.rounds + len(needed)  # a log of each attempt


def test_two_collections_at_once_do_the_work_of_one(database: Database, root: Path) -> None:
    rows.running(database)
    for number in range(900, 930):
        write(root, f"runs/{number}/1/1", "a", "b/c", age_seconds=OLD)
    rows.say_restored(database)
    act = partial(collect, database, root, 1.0)
    for found in rows.run_all(act, act, act):
        assert isinstance(found, Usage)
    assert there(root) == set()


class Killed(BaseException):
    """Stands for SIGKILL: nothing is caught, nothing is cleaned up."""


@pytest.mark.parametrize("last_step", range(12))
def test_a_run_that_is_killed_at_any_step_leaves_all_that_rows_need_and_the_next_one_finishes(
    last_step: int, trained: Lease, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = itertools.count()

    def limited(act: Callable[..., None]) -> Callable[..., None]:
        def step(*args: Any, **options: Any) -> None:
            if next(steps) >= last_step:
                raise Killed
            act(*args, **options)

        return step

    needed = {f"{trained.folder}/state-000000030.pt", f"{trained.folder}/model/model.json", f"{trained.folder}/log.txt"}
    with monkeypatch.context() as patch:
        for name in ("unlink", "rename", "rmdir"):
            patch.setattr(os, name, limited(getattr(os, name)))
        with contextlib.suppress(Killed):
            collect(world.database, world.root)
    assert needed <= there(world.root)
    assert next(steps) > min(last_step, 9), "the steps are counted where they are made"

    collect(world.database, world.root)
    first = trained.folder.removesuffix("2") + "1"
    logs = {f"{first}/log.txt", f"{first}/losses.jsonl", "runs/900/902/1/log.txt", "runs/notes/todo.txt"}
    assert there(world.root) == needed | logs
    assert list((world.root / "runs").rglob(".trash-*")) == []


@pytest.fixture
def killed_midway(root: Path) -> Path:
    write(root, "runs/900/1/.trash-00ffee", "half")
    return root


def test_a_run_that_was_killed_midway_is_finished_by_the_next(database: Database, killed_midway: Path) -> None:
    assert collect(database, killed_midway) == Usage(1, 10)
    assert there(killed_midway) == set()

"""A check that cannot fail proves nothing: each safeguard is taken out of real processes, and the checker misses it."""

import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from db.control import cancel_job, drain_worker, resume_worker
from db.tables.jobs import Attempt
from db.workers import present_workers
from pixmill.crashpoints import CrashPoint
from pixmill.errors import InvalidMove
from pixmill.specs import JobOptions
from pixmill.states import State
from scheduler.submit import submit
from tests.faults.checker import check_history
from tests.faults.history import History, read_history
from tests.faults.plant import Member, Plant
from tests.faults.processes import stands_still
from tests.faults.rescue import check_rescues
from tests.faults.rough import draw_pictures
from tests.faults.violation import Invariant
from tests.worker.conftest import long_train
from tests.worker.line import REPOSITORY

pytestmark = pytest.mark.long

LEASE_SECONDS = 1.5
PATIENCE = 60.0  # far more than anything here takes
LOOK_SECONDS = 0.05
PICTURES = "pictures"
KNOBS: dict[str, Any] = {
    "scheduler.lease_seconds": LEASE_SECONDS,
    "worker.heartbeat_seconds": 0.1,
    "worker.progress_deadline_seconds": 60.0,  # a device process that is stopped here does not hang
}


@pytest.fixture(scope="module")
def plant(short_folder: Path) -> Iterator[Plant]:
    """A plant whose first worker and whose scheduler may be exchanged for broken ones."""
    folder = short_folder / "broken"
    folder.mkdir()
    plant = Plant(folder, "sqlite", workers=2, schedulers=1, knobs=KNOBS)
    draw_pictures(folder / PICTURES)
    plant.start()
    plant.wait_ready()
    yield plant
    plant.heal()
    plant.stop()
    assert plant.violations == []


@pytest.fixture
def scene(plant: Plant) -> Iterator["Scene"]:
    """One job on the plant."""
    scene = Scene(plant)
    yield scene
    scene.clear()


class Scene:
    """A zombie, the worker that takes over from it, and the job that both believe to hold."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.zombie, self.heir = plant.workers
        self.spec = long_train(images=40_000, dataset=f"folder:{plant.folder / PICTURES}")
        self.job_id = 0

    @property
    def history(self) -> History:
        return read_history(self.plant.database).of_job(self.job_id)

    @property
    def attempts(self) -> list[Attempt]:
        return list(self.history.attempts)

    def run(self, *, worker: str | None = None, scheduler: str | None = None, crash_at: str | None = None) -> None:
        """Let the zombie-to-be begin to train; the variants are broken versions of the product."""
        self.plant.replace(self.zombie, worker, crash_at=crash_at)
        self.plant.replace(self.plant.schedulers[0], scheduler)
        self.plant.wait_ready(PATIENCE)
        self._drain(self.heir, drain_worker, why="test")
        database, settings = self.plant.database, self.plant.settings
        self.job_id = submit(database, settings, self.spec, JobOptions(), user="tester").job_id
        self.wait(lambda: self.attempts)

    def train_a_while(self) -> None:
        """Until there is something to resume from."""
        self.wait(lambda: [save for save in self.history.saves if save.images_seen])

    def _drain(self, member: Member, act: Callable[..., bool], **how: str) -> None:
        def do(session: Any) -> bool:
            (row,) = [worker for worker in present_workers(session) if worker.pid == member.pid]
            return act(session, row.id, actor="tester", **how)

        self.plant.database.transact(do)

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until it is so; every look reads a whole history, so they are few."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.story()
            time.sleep(LOOK_SECONDS)

    def story(self) -> str:
        """What may explain why it did not come to that."""
        history = self.history
        rows = [f"{event.at:%T.%f} {event.actor} {event.action}: {event.detail}" for event in history.events]
        logs = [member.log_text()[-1500:] for member in self.plant.members]
        return "\n".join([*rows, *map(str, check_history(history)), *logs])

    def stop_the_zombie(self) -> None:
        """At a moment when it does not hold SQLite's write lock: else nobody could write, whatever the design."""
        (child,) = self.zombie.children
        child.suspend()  # for a moment, in which its parent has nothing to write
        self.wait(self._stopped_without_lock)
        child.resume()

    def _stopped_without_lock(self) -> bool:
        self.plant.suspend(self.zombie)
        self.wait(lambda: stands_still(self.zombie.pid or 0))
        path = self.plant.home / "pixmill.db"
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0.3)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                self.plant.resume(self.zombie)
                return False
            connection.execute("ROLLBACK")
        return True

    def let_the_heir_take_over(self) -> None:
        """It claims the task, and stands still: the zombie finishes first."""
        before = len(self.history.moves)
        self._drain(self.heir, resume_worker)
        self.wait(lambda: any(move.new_state == State.RUNNING for move in self.history.moves[before:]))
        (child,) = self.heir.children
        child.suspend()

    def wake_the_zombie(self) -> None:
        """When its device process has finished all that it has to tell."""
        result = self.plant.home / f"runs/{self.job_id}/{self.history.tasks[0].id}/1/result.json"
        self.wait(result.exists)
        self.plant.resume(self.zombie)

    @contextmanager
    def said(self, member: Member, words: str) -> Iterator[None]:
        """Wait at the end until it has said so."""
        begun = len(member.log_text())
        yield
        self.wait(lambda: words in member.log_text()[begun:])

    def found(self) -> set[Invariant]:
        """What is broken so far."""
        return {violation.invariant for violation in check_history(self.history)}

    def ends_well(self) -> bool:
        """Let the heir do its work; whether the job succeeds with nothing broken."""
        for child in self.heir.children:
            child.resume()
        self.wait(lambda: self.history.jobs[0].state.is_terminal)
        assert check_history(self.history, at_rest=True) == []
        return self.history.jobs[0].state is State.SUCCEEDED

    def clear(self) -> None:
        """Leave nothing to do."""
        self.plant.heal()
        if self.job_id:
            with suppress(InvalidMove):  # it has ended
                self.plant.database.transact(partial(cancel_job, job_id=self.job_id, actor="tester", force=True))
        for worker in self.plant.workers:
            for child in worker.children:
                with suppress(psutil.NoSuchProcess):  # dead meanwhile, as it may be
                    child.resume()
        self._drain(self.heir, resume_worker)


def be_replaced(scene: Scene) -> None:
    """The first worker stands still for more than a lease, and its task goes to the second."""
    scene.train_a_while()
    scene.stop_the_zombie()
    scene.let_the_heir_take_over()
    scene.wake_the_zombie()


@pytest.mark.slow
def test_a_zombie_is_harmless(scene: Scene) -> None:
    scene.run()
    with scene.said(scene.zombie, "lease lost; publishing nothing"):
        be_replaced(scene)
    assert scene.ends_well()
    assert [attempt.outcome for attempt in scene.attempts] == ["lost", "succeeded"]


def test_without_a_fence_a_zombie_is_found(scene: Scene) -> None:
    scene.run(worker="no-fence")
    be_replaced(scene)
    scene.wait(lambda: Invariant.FENCE in scene.found())


@pytest.mark.slow
def test_a_death_with_the_result_in_hand_is_harmless(scene: Scene) -> None:
    scene.run(crash_at=CrashPoint.WORKER_HEARD_RESULT)
    assert scene.ends_well()
    assert [attempt.outcome for attempt in scene.attempts] == ["lost", "succeeded"]


def test_what_is_published_before_the_end_of_a_task_is_found(scene: Scene) -> None:
    scene.run(worker="publish-first", crash_at=CrashPoint.WORKER_HEARD_RESULT)
    scene.wait(lambda: Invariant.ONCE in scene.found())


def come_back_after_a_retry(scene: Scene, variant: str | None) -> None:
    """While the first worker stands still, an operator cancels the job by force and retries it."""
    scene.train_a_while()
    scene.stop_the_zombie()
    scene.plant.database.transact(lambda session: cancel_job(session, scene.job_id, actor="tester", force=True))
    command = scene.plant.command(["job", "retry", str(scene.job_id), "--yes"], variant)
    subprocess.run(command, env=scene.plant.environment(), cwd=REPOSITORY, check=True, capture_output=True)
    scene.let_the_heir_take_over()
    scene.wake_the_zombie()


@pytest.mark.slow
def test_a_zombie_of_before_a_retry_is_harmless(scene: Scene) -> None:
    scene.run()
    with scene.said(scene.zombie, "lease lost; publishing nothing"):
        come_back_after_a_retry(scene, None)
    assert scene.ends_well()
    assert [attempt.outcome for attempt in scene.attempts] == ["cancelled", "succeeded"]


def test_an_attempt_number_is_no_fence(scene: Scene) -> None:
    scene.plant.replace(scene.heir, "attempt-fence")
    scene.run(worker="attempt-fence")
    come_back_after_a_retry(scene, "attempt-fence")
    scene.wait(lambda: Invariant.FENCE in scene.found())
    # What the first worker made counts as the second one's: an epoch that never comes back would have told them apart.
    scene.wait(lambda: scene.history.jobs[0].state is State.SUCCEEDED)
    assert [attempt.lease_epoch for attempt in scene.attempts] == [1]


@pytest.mark.slow
def test_a_wrong_clock_takes_no_lease(scene: Scene) -> None:
    scene.run(scheduler="skewed")
    assert scene.ends_well()
    assert list(check_rescues(scene.history, hurt=())) == []
    assert [attempt.outcome for attempt in scene.attempts] == ["succeeded"]


def test_leases_that_end_by_the_time_of_day_are_found(scene: Scene) -> None:
    scene.run(scheduler="wall-clock")
    scene.wait(lambda: list(check_rescues(scene.history, hurt=())))

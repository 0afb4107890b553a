"""Whatever is killed or taken away in the middle of a job: the job goes on, and nothing is published twice.

More of this, row by row, in tests/faults.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from db.control import cancel_job
from db.dispatch import Sighting, expire_lease
from db.queues import pause_queue, resume_queue
from db.tables.jobs import Outcome
from pixmill.states import State
from tests.waiting import wait_until
from tests.worker.conftest import long_train
from tests.worker.line import Line


def test_a_device_process_that_dies_between_two_jobs_costs_nothing(sqlite_line: Line) -> None:
    sqlite_line.run(long_train(images=64))
    process = sqlite_line.device_process
    process.kill()
    wait_until(lambda: not process.is_running())  # reaped, so its parent knows
    job = sqlite_line.run(long_train(images=64))
    assert sqlite_line.task(job).lost_leases == 0
    assert sqlite_line.device_process.pid != process.pid


def test_a_cancelled_job_stops_within_two_seconds(line: Line) -> None:
    job = line.submit(long_train(images=1_000_000))
    line.wait_for_training(job)
    process = line.device_process
    started = time.monotonic()
    line.database.transact(lambda session: cancel_job(session, job, actor="tester", why="changed my mind"))
    assert line.wait(job) is State.CANCELLED
    assert time.monotonic() - started < 2.0
    assert [attempt.outcome for attempt in line.attempts(job)] == [Outcome.CANCELLED]
    line.run(long_train(images=64))
    assert line.device_process.pid == process.pid  # stopped in order, and still warm


def test_a_corrupt_checkpoint_is_passed_over_for_the_one_before(sqlite_line: Line) -> None:
    job = sqlite_line.submit(long_train(), queue="corrupt")
    with lost_and_paused(sqlite_line, job, checkpoints=2):
        newest, before = sqlite_line.checkpoints(job)
        sqlite_line.path(newest.path).write_bytes(b"torn")
    assert sqlite_line.wait(job) is State.SUCCEEDED, sqlite_line.story(job)
    assert f"checkpoint {newest.path} cannot be used" in sqlite_line.job_log(job)
    assert sqlite_line.images_resumed_at(job) == before.images_seen


def test_without_any_sound_checkpoint_training_begins_again(sqlite_line: Line) -> None:
    job = sqlite_line.submit(long_train(images=20_000), queue="corrupt")
    with lost_and_paused(sqlite_line, job, checkpoints=1):
        for row in sqlite_line.checkpoints(job):
            sqlite_line.path(row.path).unlink()
    assert sqlite_line.wait(job) is State.SUCCEEDED, sqlite_line.story(job)
    assert "cannot be used" in sqlite_line.job_log(job)
    assert "no checkpoint can be used: training begins again" in sqlite_line.job_log(job)
    assert "going on from" not in sqlite_line.job_log(job)


def test_a_lease_that_was_taken_away_publishes_nothing(line: Line) -> None:
    job = line.submit(long_train())
    line.wait_for_training(job)
    process = line.device_process
    take_lease_away(line, job)
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    lost, won = line.attempts(job)
    assert (lost.outcome, won.outcome) == (Outcome.LOST, Outcome.SUCCEEDED)
    assert lost.finished_at is not None
    late = [row for row in line.checkpoints(job) if row.lease_epoch == 1 and row.created_at > lost.finished_at]
    assert late == []
    assert not process.is_running()
    assert "lease lost; publishing nothing" in line.log("worker")


@pytest.mark.long
def test_a_hanging_device_process_is_killed(own_line: Callable[..., Line], pictures: Path) -> None:
    # Longer than a fresh process needs for its imports, in which it is silent.
    line = own_line(worker__progress_deadline_seconds=4.0)
    job = line.submit(long_train(images=30_000, dataset=f"folder:{pictures}"))
    line.wait_for_training(job)
    process = line.device_process
    process.suspend()
    wait_until(lambda: not process.is_running(), timeout=30.0)
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert line.attempts(job)[0].message == "no progress for 4 s"
    assert line.task(job).lost_leases == 1


def take_lease_away(line: Line, job_id: int) -> None:
    """What a scheduler does that saw no heartbeat for a whole lease."""
    task = line.task(job_id)
    statement = text("SELECT heartbeat_count FROM tasks WHERE id = :task")

    def act(session: object) -> State | None:
        count = session.scalar(statement, {"task": task.id})  # type: ignore[attr-defined]
        return expire_lease(session, task.id, Sighting(task.lease_epoch, count), max_lost_leases=3)  # type: ignore[arg-type]

    assert wait_until(lambda: line.database.transact(act)) is State.PENDING


@contextmanager
def lost_and_paused(line: Line, job_id: int, *, checkpoints: int) -> Iterator[None]:
    """While this lasts, the job has lost its device process, and does not start again."""
    line.wait_for_training(job_id)
    line.wait_for(lambda: len(line.checkpoints(job_id)) >= checkpoints, job_id)
    line.database.transact(lambda session: pause_queue(session, "corrupt", actor="tester", why=None))
    line.device_process.kill()
    line.wait_for(lambda: line.task(job_id).state is State.PENDING, job_id)
    yield
    line.database.transact(lambda session: resume_queue(session, "corrupt", actor="tester"))

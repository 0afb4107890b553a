"""Whatever is killed, stopped or taken away in the middle of a job: the job goes on, and nothing is published twice."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import text

from db.dispatch import Sighting, expire_lease
from db.control import cancel_job
from db.queues import pause_queue, resume_queue
from db.tables import Outcome
from pixmill.states import State
from tests.servers import Postgres
from tests.waiting import wait_until
from tests.worker.conftest import digits_model, long_train, small_generate
from tests.worker.line import Line


def test_a_killed_device_process_costs_no_more_than_a_checkpoint(line: Line) -> None:
    job = line.submit(long_train())
    line.wait_for_training(job)
    reached = line.checkpoints(job)[0].images_seen
    line.device_process.kill()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    task = line.task(job)
    assert (task.lost_leases, task.failures, task.preemptions, task.lease_epoch) == (1, 0, 0, 2)
    assert [attempt.outcome for attempt in line.attempts(job)] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert line.attempts(job)[0].message == "its device process was killed by signal 9"
    assert images_resumed_at(line, job) >= reached


def test_a_device_process_that_dies_between_two_jobs_costs_nothing(sqlite_line: Line) -> None:
    sqlite_line.run(long_train(images=64))
    process = sqlite_line.device_process
    process.kill()
    wait_until(lambda: not process.is_running())  # reaped, so its parent knows
    job = sqlite_line.run(long_train(images=64))
    assert sqlite_line.task(job).lost_leases == 0
    assert sqlite_line.device_process.pid != process.pid


def test_a_task_that_kills_every_device_process_is_given_up(sqlite_line: Line) -> None:
    job = sqlite_line.submit(long_train(images=1_000_000))
    for epoch in (1, 2, 3):
        kill_in_epoch(sqlite_line, job, epoch)
    assert sqlite_line.wait(job) is State.FAILED
    assert sqlite_line.job(job).reason == "WorkerLost"
    assert "3 times" in str(sqlite_line.job(job).message)
    sqlite_line.run(long_train(images=64))


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


def test_a_stopped_worker_gives_its_task_back_with_a_checkpoint(line: Line) -> None:
    job = line.submit(long_train())
    line.wait_for_training(job)
    process = line.device_process
    started = time.monotonic()
    assert line.terminate_worker() == 0
    assert time.monotonic() - started < 5.0
    assert not process.is_running()
    task = line.task(job)
    assert task.state in {State.PENDING, State.QUEUED}
    assert (task.preemptions, task.failures, task.lost_leases) == (1, 0, 0)
    stopped_at = line.checkpoints(job)[0].images_seen
    line.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert [attempt.outcome for attempt in line.attempts(job)] == [Outcome.PREEMPTED, Outcome.SUCCEEDED]
    assert images_resumed_at(line, job) == stopped_at


def test_a_corrupt_checkpoint_is_passed_over_for_the_one_before(sqlite_line: Line) -> None:
    job = sqlite_line.submit(long_train(), queue="corrupt")
    with lost_and_paused(sqlite_line, job, checkpoints=2):
        newest, before = sqlite_line.checkpoints(job)
        sqlite_line.path(newest.path).write_bytes(b"torn")
    assert sqlite_line.wait(job) is State.SUCCEEDED, sqlite_line.story(job)
    assert f"checkpoint {newest.path} cannot be used" in sqlite_line.job_log(job)
    assert images_resumed_at(sqlite_line, job) == before.images_seen


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


def test_generated_shards_survive_the_death_of_their_maker(sqlite_line: Line) -> None:
    line = sqlite_line
    model = digits_model(line)
    job = line.submit(small_generate(model, n=6_000, shard_size=300))
    line.wait_for(lambda: len(line.shards(job)) >= 3, job)
    line.device_process.kill()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert line.task(job).lost_leases == 1
    epochs = [shard.lease_epoch for shard in line.shards(job)]
    assert epochs == sorted(epochs)
    assert set(epochs) == {1, 2}  # what the first attempt published was not made again


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


def test_a_killed_worker_takes_its_device_process_along(own_line: Callable[..., Line]) -> None:
    line = own_line(scheduler__lease_seconds=1.5)
    job = line.submit(long_train())
    line.wait_for_training(job)
    process = line.device_process
    line.kill_worker()
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, timeout=2.0)
    line.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert [attempt.outcome for attempt in line.attempts(job)] == [Outcome.LOST, Outcome.SUCCEEDED]


def test_work_goes_on_while_sqlite_is_locked(own_line: Callable[..., Line]) -> None:
    line = own_line(database__busy_timeout_seconds=0.1)
    job = line.submit(long_train())
    line.wait_for_training(job)
    log = line.path(line.attempts(job)[0].folder) / "log.txt"
    before = image_count(log)
    with line.database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        wait_until(lambda: "the database is away" in line.log("worker"))
        wait_until(lambda: image_count(log) > before)
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert line.task(job).lease_epoch == 1


def kill_in_epoch(line: Line, job_id: int, epoch: int) -> None:
    def has_begun() -> bool:
        attempts = line.attempts(job_id)
        return len(attempts) == epoch and (line.path(attempts[-1].folder) / "log.txt").exists()

    line.wait_for(has_begun, job_id)
    line.device_process.kill()
    line.wait_for(lambda: line.task(job_id).lost_leases == epoch, job_id)


def test_work_goes_on_while_postgresql_is_down(own_line: Callable[..., Line], own_postgres: Postgres) -> None:
    line = own_line(own_postgres.url("postgres"))
    job = line.submit(long_train())
    line.wait_for_training(job)
    log = line.path(line.attempts(job)[0].folder) / "log.txt"
    before = image_count(log)
    own_postgres.stop()
    wait_until(lambda: "the database is away" in line.log("worker"))
    wait_until(lambda: image_count(log) > before)
    own_postgres.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert line.task(job).lease_epoch == 1
    assert [attempt.outcome for attempt in line.attempts(job)] == [Outcome.SUCCEEDED]


def image_count(log: Path) -> int:
    """How far the device process says it has come, whatever the database knows."""
    return int(re.findall(r"checkpoint at (\d+) images", log.read_text(encoding="utf-8"))[-1])


def images_resumed_at(line: Line, job_id: int) -> int:
    (found,) = re.findall(r"going on from \S+, (\d+) images seen", line.job_log(job_id))
    return int(found)


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

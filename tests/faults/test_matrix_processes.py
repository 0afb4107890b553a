"""Rows 1 to 4, 6, 7 and 25 of the fault matrix: processes that are killed, stopped, told to end, or poisoned."""

import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest

from db.tables.jobs import Outcome
from pixmill.specs import PingSpec
from pixmill.states import State
from tests.faults.hooks import ABORTS, STARVES
from tests.faults.journal import read_journal
from tests.faults.rough import (
    BREATH_SECONDS,
    GRACE_SECONDS,
    LEASE_SECONDS,
    SLOW,
    TICK_SECONDS,
    Holder,
    RoughLine,
    frozen,
    seconds_until,
    seeded,
    stopped,
)
from tests.waiting import is_alive, wait_until
from tests.worker.line import JOB_SECONDS, Line


def test_row_01_a_killed_device_process_is_noticed_at_once_and_resumed(either_line: RoughLine) -> None:
    line, job = either_line, either_line.submit(either_line.training())
    line.wait_for_training(job)
    time.sleep(seeded("row 1").uniform(0.0, 0.2))  # somewhere in a step
    reached = line.checkpoints(job)[0].images_seen
    line.holder(job).child.kill()
    assert seconds_until(lambda: line.task(job).lost_leases == 1) < 1.0
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert counters(line, job) == (2, 1, 0, 0)
    assert line.attempts(job)[0].message == "its device process was killed by signal 9"
    assert line.images_resumed_at(job) >= reached


def test_row_02_a_killed_worker_takes_its_child_along_and_its_task_runs_again(either_line: RoughLine) -> None:
    line, job = either_line, either_line.submit(either_line.training())
    line.wait_for_training(job)
    holder = line.holder(job)
    holder.process.kill()
    assert seconds_until(lambda: not is_alive(holder.child)) < 1.0
    expired = seconds_until(lambda: line.task(job).lost_leases == 1)
    assert expired < LEASE_SECONDS + TICK_SECONDS + BREATH_SECONDS
    assert line.attempts(job)[0].message == "its worker went silent"
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert counters(line, job) == (2, 1, 0, 0)


def test_row_03_everything_killed_at_once_goes_on_after_the_restart(either_line: RoughLine) -> None:
    line, job = either_line, either_line.submit(either_line.training())
    line.wait_for_training(job)
    reached, holder = line.checkpoints(job)[0].images_seen, line.holder(job)
    holder.child.kill()
    for process in line.processes:
        process.kill()
    waiting = line.submit(PingSpec())
    for process in line.processes:
        process.wait()
    line.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert line.wait(waiting) is State.SUCCEEDED
    assert counters(line, job) == (2, 1, 0, 0)
    assert line.images_resumed_at(job) >= reached


def test_row_04_a_worker_that_slept_through_two_leases_finds_its_task_taken(rough_line: RoughLine) -> None:
    line, job = rough_line, rough_line.submit(rough_line.training(images=48_000))
    line.wait_for_training(job)
    zombie = line.holder(job)
    with frozen(line, zombie):
        slept_at = time.monotonic()
        line.wait_for(lambda: has_trained_in(line, job, epoch=2), job)
        line.wait_for(lambda: time.monotonic() - slept_at > 2 * LEASE_SECONDS, job)
        published = [row.id for row in line.checkpoints(job) if row.lease_epoch == 1]
    wait_until(lambda: "lease lost; publishing nothing" in line.log(zombie.name))
    wait_until(lambda: not is_alive(zombie.child))
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert [row.id for row in line.checkpoints(job) if row.lease_epoch == 1 and row.id not in published] == []
    assert [attempt.outcome for attempt in line.attempts(job)] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert counters(line, job) == (2, 1, 0, 0)


def test_row_06_sigterm_in_a_step_requeues_at_once_with_a_checkpoint(either_line: RoughLine) -> None:
    line, job = either_line, either_line.submit(either_line.training())
    line.wait_for_training(job)
    holder = line.holder(job)
    holder.process.terminate()
    assert seconds_until(lambda: line.task(job).preemptions == 1) < 1.0
    assert holder.process.wait(JOB_SECONDS) == 0
    assert not is_alive(holder.child)
    expect_resumed_where_it_stopped(line, job)


def test_row_06_sigterm_in_a_checkpoint_write_leaves_that_checkpoint_whole(rough_sqlite: RoughLine) -> None:
    line, job = rough_sqlite, rough_sqlite.submit(rough_sqlite.training(images=48_000))
    line.wait_for_training(job)
    holder = line.holder(job)
    stop_in_a_write(line, job, holder)
    holder.process.send_signal(signal.SIGTERM)
    holder.child.resume()
    assert holder.process.wait(JOB_SECONDS) == 0
    expect_resumed_where_it_stopped(line, job)


def test_row_07_a_second_sigterm_while_draining_still_ends_within_the_grace(rough_sqlite: RoughLine) -> None:
    line, job = rough_sqlite, rough_sqlite.submit(rough_sqlite.training())
    line.wait_for_training(job)
    holder = line.holder(job)
    log = holder.name
    said = line.log(log).count("asking to stop")
    with stopped(holder.child):  # so that it reaches no checkpoint by itself
        holder.process.terminate()
        wait_until(lambda: line.log(log).count("asking to stop") > said)
        holder.process.terminate()
        assert seconds_until(lambda: holder.process.poll() is not None) < GRACE_SECONDS + BREATH_SECONDS
        assert not is_alive(holder.child)
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert line.task(job).failures == 0


@pytest.mark.parametrize("name", [ABORTS, STARVES] if SLOW else [ABORTS])
def test_row_25_a_job_that_takes_down_every_device_process_is_quarantined(
    rough_sqlite: RoughLine, tmp_path: Path, name: str
) -> None:
    line, poison = rough_sqlite, tmp_path / "poison"
    shutil.copytree(line.pictures, poison)
    shutil.copyfile(poison / "even" / "4.png", poison / "even" / name)
    workers, number = dict(line.workers), 6 if name == ABORTS else 9
    job = line.submit(line.training().model_copy(update={"dataset": f"folder:{poison}"}))
    others = line.submit_all([PingSpec()] * 5)
    assert line.wait(job) is State.FAILED, line.story(job)
    assert (line.job(job).reason, counters(line, job)) == ("WorkerLost", (3, 3, 0, 0))
    assert f"killed by signal {number}; this has happened 3 times" in str(line.job(job).message)
    line.wait_for_all(others)
    assert {line.job(other).state for other in others} == {State.SUCCEEDED}
    assert line.workers == workers
    assert all(worker is not None and worker.poll() is None for worker in workers.values())


def expect_resumed_where_it_stopped(line: Line, job_id: int) -> None:
    """The job goes on from a sound checkpoint of the moment in which its worker was told to end."""
    assert line.wait(job_id) is State.SUCCEEDED, line.story(job_id)
    assert counters(line, job_id) == (2, 0, 1, 0)
    first = read_journal(line.path(line.attempts(job_id)[0].folder))
    stopped_at = [entry["images_seen"] for entry in first if entry["what"] == "checkpoint"][-1]
    assert line.images_resumed_at(job_id) == stopped_at > 0


def counters(line: Line, job_id: int) -> tuple[int, int, int, int]:
    """(epochs, lost leases, preemptions, failures)."""
    task = line.task(job_id)
    return task.lease_epoch, task.lost_leases, task.preemptions, task.failures


def has_trained_in(line: Line, job_id: int, epoch: int) -> bool:
    return any(row.lease_epoch == epoch for row in line.checkpoints(job_id))


def stop_in_a_write(line: Line, job_id: int, holder: Holder) -> None:
    """Stop the device process (SIGSTOP) between the beginning and the end of a checkpoint's file."""
    folder, child = line.path(line.attempts(job_id)[-1].folder), holder.child

    def is_writing() -> bool:
        if not any(folder.glob(".state-*.tmp")):
            return False
        child.suspend()
        wait_until(lambda: child.status() == psutil.STATUS_STOPPED)
        if any(folder.glob(".state-*.tmp")):
            return True
        child.resume()
        return False

    wait_until(is_writing, JOB_SECONDS, pause=0.001, longest_pause=0.001)

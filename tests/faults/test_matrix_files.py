"""Rows 20 and 22 of the fault matrix: a disk that is full, and processes that die between any two steps."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pixmill.crashpoints import CRASHED, CrashPoint
from pixmill.specs import PingSpec, Spec
from pixmill.states import State
from storage.checkpoints import open_verified
from tests.faults.pipelining import POINTS
from tests.faults.rough import SLOW, RoughLine
from tests.worker.conftest import digits_model, small_generate
from tests.worker.line import JOB_SECONDS, REPOSITORY

RETRY = {"retries": 5, "retry_seconds": 0.3}
SPEAKER_BYTES = 8_000  # what a log or a journal of these jobs may grow to, and no checkpoint fits into


def test_row_20_a_disk_that_is_full_for_a_while_delays_a_train_job(rough_sqlite: RoughLine) -> None:
    line, job = rough_sqlite, rough_sqlite.submit(rough_sqlite.training(), **RETRY)
    line.wait_for_training(job)
    with full_disk(line.holder(job).child):
        line.wait_for(lambda: line.task(job).failures == 1, job)
        newest = line.checkpoints(job)[0]
        open_verified(line.path(newest.path), newest.sha256, size_bytes=newest.size_bytes).close()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert line.attempts(job)[0].reason == "DiskFull"
    assert "going on from" in line.job_log(job)


def test_row_20_a_disk_that_stays_full_fails_the_job_and_leaves_its_checkpoint_whole(rough_sqlite: RoughLine) -> None:
    line, job = rough_sqlite, rough_sqlite.submit(rough_sqlite.training(), retries=0)
    line.wait_for_training(job)
    with full_disk(line.holder(job).child):
        assert line.wait(job) is State.FAILED, line.story(job)
    assert line.job(job).reason == "DiskFull"
    assert "free space" in line.job_log(job) or "File too large" in str(line.job(job).message)
    newest = line.checkpoints(job)[0]
    open_verified(line.path(newest.path), newest.sha256, size_bytes=newest.size_bytes).close()


def test_row_20_a_disk_that_is_full_for_a_while_delays_a_generate_job(rough_sqlite: RoughLine) -> None:
    line = rough_sqlite
    spec = small_generate(digits_model(line), n=4_000, shard_size=200)
    job = line.submit(spec, **RETRY)
    line.wait_for(lambda: len(line.shards(job)) >= 2, job)
    with full_disk(line.holder(job).child):
        line.wait_for(lambda: any(task.failures for task in line.tasks(job)), job)
        published = {shard.number: shard.lease_epoch for shard in line.shards(job)}
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert {attempt.reason for attempt in line.attempts(job)} == {"DiskFull", None}
    assert published.items() <= {shard.number: shard.lease_epoch for shard in line.shards(job)}.items()


@contextmanager
def full_disk(process: psutil.Process) -> Iterator[None]:
    """While this lasts, no file of this process grows beyond a few kilobytes: it gets EFBIG, as from a quota."""
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (SPEAKER_BYTES, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)


# The job that comes by each place, and the n-th time that it does so where the first is not enough.
_TRAIN, _GENERATE, _PING, _PINGS = "train", "generate", "ping", "many pings"
_WAYS: dict[CrashPoint, tuple[str, int]] = {
    CrashPoint.SCHEDULER_QUEUED: (_PING, 1),
    CrashPoint.SCHEDULER_SENT: (_PING, 1),
    CrashPoint.SCHEDULER_MARKED: (_PING, 1),
    CrashPoint.WORKER_CLAIMED: (_PING, 1),
    CrashPoint.WORKER_ASSIGNED: (_TRAIN, 1),
    CrashPoint.WORKER_BEAT: (_TRAIN, 2),
    CrashPoint.WORKER_HEARD_CHECKPOINT: (_TRAIN, 2),
    CrashPoint.WORKER_PUBLISHED_CHECKPOINT: (_TRAIN, 3),
    CrashPoint.WORKER_REMOVED_CHECKPOINT: (_TRAIN, 1),
    CrashPoint.WORKER_HEARD_SHARD: (_GENERATE, 2),
    CrashPoint.WORKER_PUBLISHED_SHARD: (_GENERATE, 1),
    CrashPoint.WORKER_HEARD_RESULT: (_TRAIN, 1),
    CrashPoint.WORKER_KEPT_RESULT: (_PINGS, 3),
    CrashPoint.WORKER_FINISHED: (_GENERATE, 1),
    CrashPoint.DEVICE_BEGUN: (_GENERATE, 1),
    CrashPoint.DEVICE_WROTE_CHECKPOINT: (_TRAIN, 2),
    CrashPoint.DEVICE_ANNOUNCED_CHECKPOINT: (_TRAIN, 2),
    CrashPoint.DEVICE_WROTE_SHARD: (_GENERATE, 2),
    CrashPoint.DEVICE_ANNOUNCED_SHARD: (_GENERATE, 2),
    CrashPoint.DEVICE_WROTE_RESULT: (_TRAIN, 1),
    CrashPoint.FILE_WRITTEN: (_TRAIN, 3),
    CrashPoint.FILE_RENAMED: (_GENERATE, 4),
}
# Each costs the start of a worker. A quick run takes those between which a durable thing is made and told.
_QUICK = (
    CrashPoint.SCHEDULER_QUEUED,
    CrashPoint.SCHEDULER_SENT,
    CrashPoint.WORKER_CLAIMED,
    CrashPoint.WORKER_HEARD_CHECKPOINT,
    CrashPoint.WORKER_PUBLISHED_CHECKPOINT,
    CrashPoint.WORKER_HEARD_SHARD,
    CrashPoint.WORKER_HEARD_RESULT,
    CrashPoint.WORKER_KEPT_RESULT,
    CrashPoint.DEVICE_WROTE_CHECKPOINT,
    CrashPoint.DEVICE_ANNOUNCED_SHARD,
    CrashPoint.FILE_WRITTEN,
)
_ON_SQLITE = tuple(_WAYS) if SLOW else _QUICK
_ON_POSTGRESQL = tuple(_WAYS) if SLOW else (CrashPoint.WORKER_KEPT_RESULT, CrashPoint.WORKER_FINISHED)
_OF_ITS_OWN = (CrashPoint.SUBMIT_COMMITTED, CrashPoint.SCHEDULER_EXPIRED, *POINTS)
_ON_THE_COMMAND_LINE = (CrashPoint.GC_FORGOT,)  # tests/cli/test_retention_commands.py


def test_row_22_every_crash_point_has_its_test() -> None:
    assert {*_WAYS, *_OF_ITS_OWN, *_ON_THE_COMMAND_LINE} == set(CrashPoint)


@pytest.mark.parametrize("point", _ON_SQLITE)
def test_row_22_a_crash_at_any_point_loses_and_doubles_nothing(rough_sqlite: RoughLine, point: CrashPoint) -> None:
    crash_and_recover(rough_sqlite, point)


@pytest.mark.long
@pytest.mark.parametrize("point", _ON_POSTGRESQL)
def test_row_22_a_crash_loses_and_doubles_nothing_on_postgresql(rough_postgresql: RoughLine, point: CrashPoint) -> None:
    crash_and_recover(rough_postgresql, point)


def crash_and_recover(line: RoughLine, point: CrashPoint) -> None:
    """Run a job past the armed point, see a process die there, start it again, and see the job succeed."""
    kind, number = _WAYS[point]
    specs, statuses = _specs(line, kind), len(line.statuses)
    is_parent = not point.startswith(("device.", "file."))
    with armed(line, point, number) as mark:
        jobs = _submit_until(line, specs, mark)
        line.tend_until(lambda: all(line.job(job).state.is_terminal for job in jobs))
        line.tend_until(lambda: not is_parent or len(line.statuses) > statuses)
    for job in jobs:
        assert line.job(job).state is State.SUCCEEDED, line.story(job)
    if is_parent:
        assert line.statuses[statuses:] == [CRASHED]
    else:
        ends = [str(attempt.message) for job in jobs for attempt in line.attempts(job)]
        assert f"its device process was ended with status {CRASHED}" in ends


def _submit_until(line: RoughLine, specs: list[Spec], mark: Path) -> list[int]:
    """Submit until a process has died: a device that has just started takes a job by itself, and none is sent."""
    jobs: list[int] = []
    for _device in (*line.workers, "none is starting any more"):
        jobs += line.submit_all(specs)
        line.wait_for(lambda last=jobs[-1]: mark.exists() or line.job(last).state.is_terminal, jobs[-1])  # type: ignore[misc]
        if mark.exists():
            return jobs
    raise AssertionError(f"nothing has died\n{line.story(jobs[-1])}")


def _specs(line: RoughLine, kind: str) -> list[Spec]:
    match kind:
        case "train":
            return [line.training()]
        case "generate":
            return [small_generate(digits_model(line), n=500, shard_size=100)]
        case "ping":
            return [PingSpec()]
        case _:
            return [PingSpec() for _ in range(40)]  # held by the handful


@contextmanager
def armed(line: RoughLine, point: CrashPoint, number: int = 1) -> Iterator[Path]:
    """Arm the point in the processes that come by it; gives the file that says that one has died there."""
    name = "scheduler" if point.startswith("scheduler.") else "worker"
    hooks = line.hooks[name]
    hooks.order(*line.with_children(name), crash_at=f"{point}:{number}")
    try:
        yield hooks.mark
    finally:
        hooks.order()


def test_row_22_a_scheduler_that_dies_after_an_expiry_leaves_a_task_that_can_run(rough_sqlite: RoughLine) -> None:
    line = rough_sqlite
    job = line.submit(line.training())
    line.wait_for_training(job)
    with armed(line, CrashPoint.SCHEDULER_EXPIRED) as mark:
        line.holder(job).process.kill()
        assert line.scheduler is not None
        assert line.scheduler.wait(JOB_SECONDS) == CRASHED
        assert mark.exists()
    line.restart()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert line.task(job).lost_leases == 1


_SUBMIT = """
from db.engine import open_database
from pixmill.settings import load_settings
from pixmill.specs import JobOptions, PingSpec
from scheduler.submit import submit
settings = load_settings()
submit(open_database(settings), settings, PingSpec(), JobOptions(key="crashed"), user="tester")
"""


def test_row_22_a_submit_that_dies_after_its_commit_was_a_submit(rough_sqlite: RoughLine, tmp_path: Path) -> None:
    line = rough_sqlite
    variables = {
        "PIXMILL_HOME": str(line.home),
        "PIXMILL_DATABASE_URL": line.settings.database_url,
        "PIXMILL_BROKER_URL": line.settings.broker_url,
        "PIXMILL_TEST_CRASH_AT": CrashPoint.SUBMIT_COMMITTED,
        "PIXMILL_TEST_CRASH_MARK": str(tmp_path / "mark"),
    }
    died = subprocess.run([sys.executable, "-c", _SUBMIT], cwd=REPOSITORY, env=os.environ | variables, check=False)
    assert died.returncode == CRASHED
    job = line.submit(PingSpec(), key="crashed")
    assert line.wait(job) is State.SUCCEEDED
    assert sum(row.key == "crashed" for row in line.jobs()) == 1

"""What operators do to running work, seen at real processes."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from db.control import (
    CheckpointChoice,
    cancel_job,
    drain_device,
    hold_job,
    release_job,
    requeue_job,
    resume_device,
    retry_job,
)
from db.tables.fleet import Worker
from db.tables.jobs import Outcome
from db.views import job_events
from pixmill.specs import JobOptions, PingSpec
from pixmill.states import State
from scheduler.submit import submit_many
from tests.servers import Valkey
from tests.waiting import is_alive, wait_until
from tests.worker.conftest import long_train
from tests.worker.line import JOB_SECONDS, Line
from worker.parent.heart import DEAF

BY: dict[str, Any] = {"actor": "olga", "why": "a test"}


def worker_row(line: Line) -> Worker:
    with line.database.read() as session:
        return session.scalars(select(Worker).order_by(Worker.id.desc()).limit(1)).one()


def pings(line: Line, count: int) -> list[int]:
    requests = [(PingSpec(), JobOptions())] * count
    return [made.job_id for made in submit_many(line.database, line.settings, requests, user="tester")]


def test_a_ping_goes_through_the_line_and_leaves_nothing_on_the_disk(line: Line) -> None:
    job = line.run(PingSpec())
    result = line.task(job).result
    assert result is not None
    assert result["pid"] == line.device_process.pid
    assert not line.path(line.attempts(job)[0].folder).exists()


def test_a_requeued_job_stops_at_a_checkpoint_and_goes_on_from_it(line: Line) -> None:
    job = line.submit(long_train())
    line.wait_for_training(job)
    process = line.device_process
    line.database.transact(lambda session: requeue_job(session, job, **BY))
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    task = line.task(job)
    assert (task.preemptions, task.failures, task.lost_leases, task.lease_epoch) == (1, 0, 0, 2)
    assert "going on from" in line.job_log(job)
    assert line.device_process.pid == process.pid


def test_a_requeued_and_held_job_waits_for_its_release(sqlite_line: Line) -> None:
    line = sqlite_line
    job = line.submit(long_train())
    line.wait_for_training(job)
    line.database.transact(lambda session: requeue_job(session, job, hold=True, **BY))
    line.wait_for(lambda: line.job(job).state is State.HELD, job)
    line.run(PingSpec())  # the device is free for others meanwhile
    assert line.job(job).state is State.HELD
    line.database.transact(lambda session: release_job(session, job, **BY))
    assert line.wait(job) is State.SUCCEEDED
    with line.database.read() as session:
        events = [(event.actor, event.action) for event in job_events(session, job)]
    assert ("olga", "requeue --hold") in events
    assert ("olga", "release") in events


def test_a_forced_cancel_ends_the_job_at_once_and_its_process_with_the_next_heartbeat(line: Line) -> None:
    job = line.submit(long_train(images=1_000_000))
    line.wait_for_training(job)
    process = line.device_process
    line.database.transact(lambda session: cancel_job(session, job, force=True, **BY))
    assert line.job(job).state is State.CANCELLED
    wait_until(lambda: not is_alive(process), timeout=JOB_SECONDS)
    line.run(PingSpec())
    assert [attempt.outcome for attempt in line.attempts(job)] == [Outcome.CANCELLED]


def test_an_attempt_that_runs_for_too_long_is_stopped_and_can_be_gone_on_with(sqlite_line: Line) -> None:
    line = sqlite_line
    job = line.submit(long_train(images=1_000_000), time_limit_seconds=2.0)
    assert line.wait(job) is State.FAILED
    assert (line.job(job).reason, line.job(job).message) == ("TimeLimit", "it ran longer than its limit of 2 s")
    assert (line.task(job).failures, line.task(job).preemptions) == (1, 0)
    assert line.checkpoints(job), "the work is not lost"
    line.database.transact(lambda session: retry_job(session, job, **BY))
    line.wait_for(lambda: line.job(job).state is State.RUNNING, job)
    line.database.transact(lambda session: cancel_job(session, job, **BY))
    assert line.wait(job) is State.CANCELLED
    assert "going on from" in line.job_log(job)


def test_a_retry_from_the_start_begins_anew(sqlite_line: Line) -> None:
    line = sqlite_line
    job = line.submit(long_train(images=1_000_000))
    line.wait_for_training(job)
    line.database.transact(lambda session: cancel_job(session, job, **BY))
    assert line.wait(job) is State.CANCELLED
    line.database.transact(lambda session: retry_job(session, job, start=CheckpointChoice.NONE, **BY))
    line.wait_for(lambda: line.job(job).state is State.RUNNING, job)
    line.database.transact(lambda session: cancel_job(session, job, **BY))
    assert line.wait(job) is State.CANCELLED
    assert "going on from" not in line.job_log(job)


def test_a_drained_device_gives_its_task_back_and_takes_none(sqlite_line: Line) -> None:
    line = sqlite_line
    job = line.submit(long_train())
    line.wait_for_training(job)
    device = worker_row(line).device_id
    line.database.transact(lambda session: drain_device(session, device, now=True, **BY))
    line.wait_for(lambda: line.job(job).state is State.PENDING, job)
    other = line.submit(PingSpec())
    line.database.transact(lambda session: hold_job(session, job, **BY))
    line.database.transact(lambda session: resume_device(session, device, **BY))
    assert line.wait(other) is State.SUCCEEDED
    assert line.attempts(job)[0].outcome is Outcome.PREEMPTED
    line.database.transact(lambda session: cancel_job(session, job, **BY))


def test_a_worker_goes_on_with_what_waits_while_redis_and_the_scheduler_are_gone(
    own_line: Callable[..., Line], own_valkey: Valkey
) -> None:
    line = own_line(broker_url=own_valkey.url)
    running = line.submit(long_train())
    line.wait_for_training(running)
    own_valkey.kill()
    assert line.scheduler is not None
    line.scheduler.kill()
    line.scheduler.wait()
    waiting = pings(line, 20)
    for job in (running, *waiting):
        assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert {line.task(job).dispatch_seq for job in waiting} == {0}, "nobody had to wake the worker for them"


@pytest.mark.long
def test_a_worker_that_hears_its_canaries_lives(own_line: Callable[..., Line]) -> None:
    line = own_line(scheduler__canary_seconds=0.3)
    assert line.worker is not None
    wait_until(lambda: worker_row(line).canary_heard >= 3, timeout=JOB_SECONDS)
    assert line.worker.poll() is None


def test_a_worker_whose_terminal_goes_gives_its_task_back_and_ends(sqlite_line: Line) -> None:
    line = sqlite_line
    job = line.submit(long_train())
    line.wait_for_training(job)
    assert line.worker is not None
    line.worker.send_signal(signal.SIGHUP)
    assert line.worker.wait(JOB_SECONDS) == 0
    assert line.task(job).preemptions == 1
    line.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)


@pytest.mark.long
def test_a_deaf_worker_ends_so_that_it_is_started_again(own_line: Callable[..., Line], own_valkey: Valkey) -> None:
    line = own_line(broker_url=own_valkey.url, scheduler__canary_seconds=0.6, worker__idle_heartbeat_seconds=0.2)
    assert line.worker is not None
    line.terminate_worker()
    # It is connected and beats, but listens where nobody speaks.
    line.variables["worker"] = {"PIXMILL_BROKER_URL": own_valkey.url.replace("virtual_host=0", "virtual_host=9")}
    line.start()
    assert line.worker.wait(JOB_SECONDS) == DEAF, line.log("worker")
    assert "messages do not arrive any more" in line.log("worker")
    del line.variables["worker"]
    line.start()
    line.run(PingSpec())

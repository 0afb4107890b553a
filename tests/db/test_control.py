"""What operators do: each act changes what it says, is recorded with who and why, and refuses what makes no sense."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from db.control import (
    CheckpointChoice,
    cancel_job,
    drain_device,
    drain_worker,
    hold_job,
    release_job,
    requeue_job,
    resume_device,
    resume_worker,
    retry_job,
    set_job,
    top_job,
)
from db.engine import Database
from db.leases import Lease, finish, give_back, heartbeat, lose, publish_checkpoint, publish_shard
from db.tables.jobs import Event, Outcome, Task
from db.tables.published import CheckpointKind
from db.views import job_attempts, job_events, job_shards, task_checkpoints
from db.workers import stop_worker
from pixmill.errors import Conflict, InvalidMove, LeaseLost, NotFound
from pixmill.states import FailureReason, State
from tests import rows
from tests.rows import act

S = State


def by() -> dict[str, Any]:
    """Who does it, and why."""
    return {"actor": "ann", "why": "because"}


def last_event(database: Database, job_id: int, action: str) -> Event:
    with database.read() as session:
        return [event for event in job_events(session, job_id) if event.action == action][-1]


def outcomes(database: Database, job_id: int) -> list[Outcome | None]:
    with database.read() as session:
        return [attempt.outcome for attempt, _task, _worker in job_attempts(session, job_id)]


def fail(database: Database, lease: Lease, reason: FailureReason = FailureReason.USER_ERROR) -> State:
    return act(database, finish, lease, Outcome.FAILED, reason=reason, message="no")


def resumable(database: Database, lease: Lease) -> list[int]:
    """Images seen at the checkpoints that the next attempt would be offered."""
    task = rows.task(database, lease.task_id)
    with database.read() as session:
        found = task_checkpoints(session, task.id, CheckpointKind.LAST, above=task.checkpoint_floor)
        return [row.images_seen for row in found]


def train(database: Database, **changes: object) -> Lease:
    """A running train job with checkpoints at 10 and 20 images, of which the first was the best."""
    lease = rows.running(database, **changes)
    for images in (10, 20):
        act(database, publish_checkpoint, lease, rows.checkpoint(lease, images))
    best = rows.checkpoint(lease, 10, kind=CheckpointKind.BEST, metric_value=0.5)
    act(database, publish_checkpoint, lease, best)
    return lease


@pytest.mark.parametrize("queued", [False, True])
def test_a_held_job_does_not_start_until_it_is_released(database: Database, queued: bool) -> None:
    job_id = rows.add(database)
    if queued:
        rows.queue(database)
    assert act(database, hold_job, job_id, **by()) is S.HELD
    assert rows.queue(database) == []
    assert rows.try_claim(database, rows.add_worker(database)) is None
    event = last_event(database, job_id, "hold")
    assert (event.actor, event.detail, event.to_state) == ("ann", "because", "held")
    act(database, release_job, job_id, **by())
    assert last_event(database, job_id, "release").detail == "because"
    assert len(rows.queue(database)) == 1


def test_holding_a_job_leaves_what_runs_alone(database: Database) -> None:
    lease = rows.running(database, tasks=rows.TWO_TASKS)
    assert act(database, hold_job, lease.job_id, **by()) is S.RUNNING
    assert rows.states(database, lease.job_id) == [S.RUNNING, S.HELD]
    act(database, finish, lease, Outcome.SUCCEEDED, publish=rows.nothing)
    assert rows.job(database, lease.job_id).state is S.HELD


def test_a_job_of_which_nothing_waits_cannot_be_held(database: Database) -> None:
    lease = rows.running(database)
    with pytest.raises(InvalidMove, match="is running; nothing of it waits") as caught:
        act(database, hold_job, lease.job_id, **by())
    assert caught.value.hint == f"pixmill job requeue {lease.job_id} --hold"
    fail(database, lease)
    with pytest.raises(InvalidMove, match="has failed; nothing"):
        act(database, hold_job, lease.job_id, **by())
    with pytest.raises(NotFound):
        act(database, hold_job, 999, **by())


def test_a_forced_cancel_takes_the_task_at_once_and_its_worker_can_publish_nothing(database: Database) -> None:
    lease = rows.running(database, tasks=rows.TWO_TASKS)
    assert act(database, cancel_job, lease.job_id, force=True, **by()) is S.CANCELLED
    assert rows.states(database, lease.job_id) == [S.CANCELLED, S.CANCELLED]
    assert outcomes(database, lease.job_id) == [Outcome.CANCELLED]
    with pytest.raises(LeaseLost):
        act(database, heartbeat, lease, None, 0)
    with pytest.raises(LeaseLost):
        act(database, publish_shard, lease, rows.shard(lease, 0))
    assert (rows.job(database, lease.job_id).message, last_event(database, lease.job_id, "cancel --force").detail) == (
        "because",
        "because",
    )


@pytest.mark.parametrize(("hold", "target"), [(False, S.PENDING), (True, S.HELD)])
def test_a_requeued_task_stops_and_waits_again(database: Database, hold: bool, target: State) -> None:
    lease = rows.running(database)
    assert act(database, requeue_job, lease.job_id, hold=hold, **by()) is S.RUNNING
    assert act(database, heartbeat, lease, None, 0).stop
    act(database, give_back, lease)
    task = rows.task(database, lease.task_id)
    assert (task.state, task.stop_to, task.preemptions, task.failures) == (target, None, 1, 0)
    assert rows.job(database, lease.job_id).state is target


def test_a_requeued_task_whose_worker_dies_goes_where_it_was_sent(database: Database) -> None:
    lease = rows.running(database)
    act(database, requeue_job, lease.job_id, hold=True, **by())
    act(database, lose, lease, "signal 9", max_lost_leases=3)
    assert rows.states(database, lease.job_id) == [S.HELD]


def test_a_task_that_ends_before_it_is_stopped_has_ended(database: Database) -> None:
    lease = rows.running(database)
    act(database, requeue_job, lease.job_id, **by())
    act(database, finish, lease, Outcome.SUCCEEDED, publish=rows.nothing)
    assert rows.task(database, lease.task_id).stop_to is None
    assert rows.job(database, lease.job_id).state is S.SUCCEEDED


def test_only_what_runs_can_be_requeued(database: Database) -> None:
    job_id = rows.add(database)
    with pytest.raises(InvalidMove, match="is pending; nothing of it can be requeued"):
        act(database, requeue_job, job_id, **by())
    lease = rows.running(database)
    act(database, cancel_job, lease.job_id, actor="ann")
    with pytest.raises(InvalidMove, match="is being cancelled"):
        act(database, requeue_job, lease.job_id, **by())


@pytest.mark.parametrize(
    ("start", "expected"),
    [(CheckpointChoice.LAST, [20, 10]), (CheckpointChoice.BEST, [10]), (CheckpointChoice.NONE, [])],
)
def test_a_retried_job_starts_from_the_wanted_checkpoint(
    database: Database, start: CheckpointChoice, expected: list[int]
) -> None:
    lease = train(database)
    fail(database, lease)
    act(database, retry_job, lease.job_id, start=start, **by())
    job = rows.job(database, lease.job_id)
    assert (job.state, job.reason, job.message, job.finished_at) == (S.PENDING, None, None, None)
    assert resumable(database, lease) == expected
    rows.queue(database)
    again = rows.claimed(database, rows.add_worker(database, host="other"))
    assert (again.task_id, again.epoch) == (lease.task_id, 2)
    act(database, publish_checkpoint, again, rows.checkpoint(again, 30))
    assert resumable(database, lease)[0] == 30
    assert last_event(database, lease.job_id, f"retry --from {start}").detail == "because"


def test_a_retry_forgives_but_does_not_forget(database: Database) -> None:
    job_id = rows.add(database, retries=0)
    for number in range(1, 4):
        rows.queue(database)
        lease = rows.claimed(database, rows.add_worker(database, host=f"h{number}"))
        assert lease.epoch == number
        assert fail(database, lease, FailureReason.ERROR) is S.FAILED
        act(database, retry_job, job_id, **by())
        task = rows.task(database, lease.task_id)
        assert (task.failures, task.excused_failures) == (number, number)


def test_a_poisoned_job_that_is_retried_gets_all_its_chances_again(database: Database) -> None:
    job_id = rows.add(database)
    for expected in (S.PENDING, S.FAILED, S.PENDING, S.FAILED):
        if rows.job(database, job_id).state is S.FAILED:
            act(database, retry_job, job_id, **by())
        rows.queue(database)
        lease = rows.claimed(database, rows.add_worker(database))
        act(database, lose, lease, "signal 9", max_lost_leases=2)
        assert rows.states(database, job_id) == [expected]
    assert rows.task(database, lease.task_id).lost_leases == 4


def test_a_cancelled_job_is_retried_with_what_it_had_published(database: Database) -> None:
    job_id = rows.add(database, tasks=rows.CHAIN, kind="generate")
    rows.queue(database)
    done = rows.claimed(database, rows.add_worker(database))
    act(database, publish_shard, done, rows.shard(done, 0))
    act(database, finish, done, Outcome.SUCCEEDED, publish=rows.nothing)
    act(database, cancel_job, job_id, actor="ann")
    assert rows.states(database, job_id) == [S.SUCCEEDED, S.CANCELLED, S.CANCELLED]
    act(database, retry_job, job_id, **by())
    assert rows.states(database, job_id) == [S.SUCCEEDED, S.PENDING, S.PENDING]
    assert not rows.job(database, job_id).cancel_requested
    with database.read() as session:
        assert len(job_shards(session, job_id)) == 1


def test_what_cannot_be_retried_says_why(database: Database) -> None:
    lease = rows.running(database)
    with pytest.raises(InvalidMove, match="is running; only a failed or cancelled job"):
        act(database, retry_job, lease.job_id, **by())
    child = rows.add(database, parents={lease.job_id: False})
    fail(database, lease)
    with pytest.raises(Conflict, match="no best checkpoint") as caught:
        act(database, retry_job, lease.job_id, start=CheckpointChoice.BEST, **by())
    assert "--from last" in (caught.value.hint or "")
    assert rows.states(database, lease.job_id) == [S.FAILED], "a refused retry changes nothing"
    act(database, cancel_job, child, actor="ann")
    with pytest.raises(Conflict, match=f"waits for job {lease.job_id}, which has failed") as caught:
        act(database, retry_job, child, **by())
    assert caught.value.hint == f"pixmill job retry {lease.job_id}"
    act(database, retry_job, lease.job_id, **by())
    act(database, retry_job, child, **by())
    assert rows.states(database, child) == [S.PENDING]


def test_a_generate_job_has_no_checkpoints_to_choose_from(database: Database) -> None:
    job_id = rows.add(database, tasks=rows.TWO_TASKS, kind="generate")
    act(database, cancel_job, job_id, actor="ann")
    with pytest.raises(Conflict, match="has no checkpoints to choose from"):
        act(database, retry_job, job_id, start=CheckpointChoice.NONE, **by())


def test_priority_and_queue_of_what_waits_can_be_changed(database: Database) -> None:
    first, second = rows.add(database), rows.add(database)
    act(database, set_job, second, priority=7, time_limit_seconds=60.0, **by())
    assert [rows.task(database, wake_up.task_id).job_id for wake_up in rows.queue(database)] == [second, first]
    (task,) = rows.tasks(database, second)
    assert (task.priority, task.time_limit_seconds, rows.job(database, second).options["priority"]) == (7, 60.0, 7)
    act(database, set_job, first, queue="nightly", **by())
    assert (rows.job(database, first).queue, rows.tasks(database, first)[0].queue) == ("nightly", "nightly")
    assert last_event(database, first, "set").detail == "queue nightly: because"


def test_a_job_that_has_ended_cannot_be_changed(database: Database) -> None:
    lease = rows.running(database)
    fail(database, lease)
    changes: list[Callable[..., None]] = [partial(set_job, priority=1), top_job]
    for change in changes:
        with pytest.raises(InvalidMove, match="has failed; it is not queued any more"):
            act(database, change, lease.job_id, **by())


def test_the_top_job_goes_before_all_others(database: Database) -> None:
    jobs = [rows.add(database, priority=priority) for priority in (1000, 0, 0)]
    act(database, top_job, jobs[2], **by())
    assert [rows.task(database, wake_up.task_id).job_id for wake_up in rows.queue(database)] == [jobs[2], *jobs[:2]]


def test_a_drained_device_gets_nothing_until_it_is_resumed(database: Database) -> None:
    rows.add(database)
    worker = rows.add_worker(database)
    assert act(database, drain_device, worker.device_id, **by())
    assert not act(database, drain_device, worker.device_id, **by()), "it was drained before"
    rows.queue(database)
    assert rows.try_claim(database, worker) is None
    assert act(database, resume_device, worker.device_id, **by())
    assert rows.claimed(database, worker).epoch == 1
    with pytest.raises(NotFound):
        act(database, drain_device, 99, **by())


def test_draining_now_requeues_what_runs(database: Database) -> None:
    lease = rows.running(database)
    act(database, drain_worker, lease.worker_id, now=True, **by())
    event = last_event(database, lease.job_id, "requeue")
    assert (event.actor, event.detail, event.task_id) == ("ann", "drained: because", lease.task_id)
    assert act(database, heartbeat, lease, None, 0).stop
    act(database, give_back, lease)
    assert rows.states(database, lease.job_id) == [S.PENDING]


def test_a_drained_worker_is_told_from_one_that_has_ended(database: Database) -> None:
    worker = rows.add_worker(database)
    assert act(database, drain_worker, worker.id, **by())
    rows.add(database)
    rows.queue(database)
    assert rows.try_claim(database, worker) is None
    assert act(database, resume_worker, worker.id, **by())
    act(database, stop_worker, worker.id)
    with pytest.raises(Conflict, match="has ended"):
        act(database, drain_worker, worker.id, **by())
    with pytest.raises(NotFound):
        act(database, resume_worker, 99, **by())


def test_the_stop_wish_does_not_outlive_the_attempt(database: Database) -> None:
    lease = rows.running(database)
    act(database, requeue_job, lease.job_id, **by())
    act(database, give_back, lease)
    rows.queue(database)
    again = rows.claimed(database, rows.add_worker(database, host="other"))
    assert not act(database, heartbeat, again, None, 0).stop
    with database.read() as session:
        assert session.get_one(Task, again.task_id).stop_to is None

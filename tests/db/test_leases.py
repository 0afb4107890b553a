from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from db import claims
from db.claims import claim, unanswered_claims
from db.control import cancel_job
from db.dispatch import Sighting, expire_lease, sight_running
from db.engine import Database, open_database
from db.leases import Lease, Orders, finish, give_back, heartbeat, lose, publish_checkpoint, publish_shard
from db.moves import lock_job
from db.tables.fleet import DeviceKind
from db.tables.jobs import Attempt, Outcome, Queue
from db.tables.published import Checkpoint, Shard
from db.views import job_attempts, job_events, job_shards
from pixmill.errors import LeaseLost
from pixmill.settings import load_settings
from pixmill.states import FailureReason, State
from tests import rows
from tests.rows import act

S = State


def attempts(database: Database, job_id: int) -> list[Attempt]:
    with database.read() as session:
        return [attempt for attempt, _, _ in job_attempts(session, job_id)]


def end(database: Database, lease: Lease, outcome: Outcome = Outcome.SUCCEEDED, **details: Any) -> None:
    act(database, finish, lease, outcome, **details)


def expire(database: Database, lease: Lease, limit: int = 99) -> State | None:
    """Take the lease as a scheduler does that saw no heartbeat since now."""
    with database.read() as session:
        seen = sight_running(session)[lease.task_id]
    return act(database, expire_lease, lease.task_id, seen, max_lost_leases=limit)


def cancel(database: Database, job_id: int) -> None:
    act(database, cancel_job, job_id, actor="ann")


def test_a_claim_gives_the_worker_all_that_it_needs(database: Database) -> None:
    job_id = rows.add(database, name="digits", spec={"kind": "train", "seed": 3})
    (wake_up,) = rows.queue(database)
    worker = rows.add_worker(database)
    lease = rows.claimed(database, worker, (wake_up.task_id, wake_up.dispatch_seq))
    assert (lease.job_id, lease.task_id, lease.epoch) == (job_id, wake_up.task_id, 1)
    assert (lease.job_name, lease.spec, lease.worker_name) == ("digits", {"kind": "train", "seed": 3}, "here:cpu")
    assert lease.folder == f"runs/{job_id}/{lease.task_id}/1"
    job = rows.job(database, job_id)
    assert (job.state, job.started_at is not None) == (S.RUNNING, True)
    (attempt,) = attempts(database, job_id)
    assert (attempt.folder, attempt.outcome, attempt.worker_id) == (lease.folder, None, worker.id)


def test_one_task_is_claimed_once_by_many_workers_at_the_same_moment(database: Database) -> None:
    rows.add(database)
    (wake_up,) = rows.queue(database)
    hint = (wake_up.task_id, wake_up.dispatch_seq)
    workers = [rows.add_worker(database, host=f"host{number}") for number in range(4)]
    got = rows.run_all(*[partial(rows.try_claim, database, worker, hint) for worker in workers])
    assert sum(isinstance(lease, Lease) for lease in got) == 1
    assert sum(lease is None for lease in got) == 3
    assert rows.task(database, wake_up.task_id).lease_epoch == 1


def test_many_tasks_are_shared_out_among_workers_at_the_same_moment(database: Database) -> None:
    for _ in range(4):
        rows.add(database)
    rows.queue(database)
    workers = [rows.add_worker(database, host=f"host{number}") for number in range(4)]
    got = rows.run_all(*[partial(rows.claimed, database, worker) for worker in workers])
    assert len({lease.task_id for lease in got}) == 4


def test_an_impatient_claim_passes_over_what_belongs_to_a_locked_job(postgres_url: str, tmp_path: Path) -> None:
    database = open_database(load_settings(flags={"home": tmp_path, "database.url": postgres_url}))
    locked, free = rows.add(database), rows.add(database)
    workers = [rows.add_worker(database, host=host) for host in ("one", "two")]
    with database.write() as other:
        lock_job(other, locked)
        got = [act(database, claim, worker, None, rows.folder, patient=False) for worker in workers]
        assert [lease and lease.job_id for lease in got] == [free, None]
    assert rows.claimed(database, workers[1]).job_id == locked
    database.dispose()


def test_a_claim_that_its_worker_does_not_know_of_is_found(database: Database) -> None:
    rows.add(database)
    worker, other = rows.add_worker(database), rows.add_worker(database, host="other")
    lease = rows.claimed(database, worker)
    assert act(database, unanswered_claims, worker, ()) == [lease]
    assert act(database, unanswered_claims, worker, {(lease.task_id, lease.epoch)}) == []
    assert act(database, unanswered_claims, other, ()) == []
    act(database, heartbeat, lease, None, 0)
    end(database, lease)
    assert act(database, unanswered_claims, worker, ()) == []


def test_a_stale_wake_up_claims_nothing_that_it_names(database: Database) -> None:
    lease = rows.running(database)
    stale = (lease.task_id, 1)
    act(database, give_back, lease)
    worker = rows.add_worker(database, host="other")
    (fresh,) = rows.queue(database)
    assert fresh.dispatch_seq == 2
    with database.write() as session:
        hinted, *_others = claims._candidates(session, session.merge(worker), stale)
        assert claims._claim_one(session, worker, *hinted, rows.folder, patient=True) is None
    assert rows.claimed(database, worker, (fresh.task_id, fresh.dispatch_seq)).epoch == 2


def test_a_wake_up_for_a_task_that_is_gone_wakes_for_the_best_that_waits(database: Database) -> None:
    rows.add(database)
    better = rows.add(database, priority=5)
    rows.queue(database)
    worker = rows.add_worker(database)
    assert rows.claimed(database, worker, (12345, 1)).job_id == better


@pytest.mark.parametrize("wanted", [DeviceKind.CUDA, DeviceKind.CPU])
def test_a_worker_claims_only_what_its_device_can_run(database: Database, wanted: DeviceKind) -> None:
    rows.add(database, device_kind=wanted)
    (wake_up,) = rows.queue(database, kind=wanted)
    hint = (wake_up.task_id, wake_up.dispatch_seq)
    other = DeviceKind.CPU if wanted is DeviceKind.CUDA else DeviceKind.CUDA
    assert rows.try_claim(database, rows.add_worker(database, other), hint) is None
    assert rows.claimed(database, rows.add_worker(database, wanted), hint).epoch == 1


def test_a_paused_queue_gives_nothing(database: Database) -> None:
    rows.add(database, queue="nightly")
    (wake_up,) = rows.queue(database)
    with database.write() as session:
        session.execute(update(Queue).where(Queue.name == "nightly").values(paused=True))
    worker = rows.add_worker(database)
    assert rows.try_claim(database, worker, (wake_up.task_id, wake_up.dispatch_seq)) is None
    with database.write() as session:
        session.execute(update(Queue).values(paused=False))
    assert rows.try_claim(database, worker) is not None


def test_a_cancelled_job_gives_nothing(database: Database) -> None:
    job_id = rows.add(database)
    (wake_up,) = rows.queue(database)
    cancel(database, job_id)
    assert rows.try_claim(database, rows.add_worker(database), (wake_up.task_id, wake_up.dispatch_seq)) is None
    assert rows.states(database, job_id) == [S.CANCELLED]


def test_a_heartbeat_stores_progress_and_brings_the_cancel_back(database: Database) -> None:
    lease = rows.running(database)
    assert act(database, heartbeat, lease, {"done": 5}, 5) == Orders(cancel=False, stop=False)
    cancel(database, lease.job_id)
    assert act(database, heartbeat, lease, None, 0) == Orders(cancel=True, stop=False)
    task = rows.task(database, lease.task_id)
    assert (task.progress, task.progress_done, task.state) == ({"done": 5}, 5, S.RUNNING)


FENCED: dict[str, Callable[[Any, Lease], object]] = {
    "heartbeat": lambda session, lease: heartbeat(session, lease, {"done": 9}, 9),
    "checkpoint": lambda session, lease: publish_checkpoint(session, lease, rows.checkpoint(lease, 9)),
    "shard": lambda session, lease: publish_shard(session, lease, rows.shard(lease, 9)),
    "succeed": lambda session, lease: finish(session, lease, Outcome.SUCCEEDED, publish=rows.nothing),
    "fail": lambda session, lease: finish(session, lease, Outcome.FAILED, reason=FailureReason.ERROR),
    "cancel": lambda session, lease: finish(session, lease, Outcome.CANCELLED),
    "give_back": give_back,
}


def everything(database: Database, lease: Lease) -> list[object]:
    """All that a worker could change about its task."""
    task, job = rows.task(database, lease.task_id), rows.job(database, lease.job_id)
    with database.read() as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in (Checkpoint, Shard)]
        events = len(job_events(session, lease.job_id))
    outcomes = [(row.lease_epoch, row.outcome) for row in attempts(database, lease.job_id)]
    changing = (task.state, task.lease_epoch, task.heartbeat_count, task.progress, task.failures, task.preemptions)
    return [*changing, job.state, job.cancel_requested, counts, events, outcomes]


@pytest.mark.parametrize("write", FENCED)
def test_a_worker_back_from_the_dead_can_change_nothing(database: Database, write: str) -> None:
    zombie = rows.running(database)
    assert expire(database, zombie) is S.PENDING
    rows.queue(database)
    successor = rows.claimed(database, rows.add_worker(database, host="other"))
    assert (successor.task_id, successor.epoch) == (zombie.task_id, 2)
    before = everything(database, zombie)
    with pytest.raises(LeaseLost, match=f"task {zombie.task_id} is no longer held under epoch 1"):
        act(database, FENCED[write], zombie)
    assert everything(database, zombie) == before
    act(database, heartbeat, successor, None, 0)


@pytest.mark.parametrize("write", FENCED)
def test_an_expired_lease_can_change_nothing_before_the_task_runs_again(database: Database, write: str) -> None:
    zombie = rows.running(database)
    expire(database, zombie)
    before = everything(database, zombie)
    with pytest.raises(LeaseLost):
        act(database, FENCED[write], zombie)
    assert everything(database, zombie) == before


def test_what_is_published_becomes_visible_with_the_end_or_not_at_all(database: Database) -> None:
    lease = rows.running(database)

    def broken(session: Any) -> dict[str, Any]:
        publish_row = rows.shard(lease, 0)
        session.add(publish_row)
        session.flush()
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        end(database, lease, publish=broken)
    assert rows.states(database, lease.job_id) == [S.RUNNING]
    end(database, lease, publish=lambda _: {"images": 5}, done=5)
    task = rows.task(database, lease.task_id)
    assert (task.state, task.result, task.progress_done) == (S.SUCCEEDED, {"images": 5}, 5)
    with database.read() as session:
        assert job_shards(session, lease.job_id) == []


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED])
def test_ending_twice_is_ending_once(database: Database, outcome: Outcome) -> None:
    lease = rows.running(database)
    published = []

    def publish(session: object) -> dict[str, Any]:
        published.append(1)
        return {}

    end(database, lease, outcome, publish=publish)
    before = everything(database, lease)
    end(database, lease, outcome, publish=publish)
    assert everything(database, lease) == before
    assert len(published) == 1
    assert [row.outcome for row in attempts(database, lease.job_id)] == [outcome]


def test_an_end_cannot_be_changed_into_another(database: Database) -> None:
    lease = rows.running(database)
    end(database, lease)
    with pytest.raises(LeaseLost):
        end(database, lease, Outcome.FAILED)
    assert rows.states(database, lease.job_id) == [S.SUCCEEDED]


def test_giving_back_twice_is_giving_back_once(database: Database) -> None:
    lease = rows.running(database)
    for _ in range(2):
        act(database, give_back, lease)
    task = rows.task(database, lease.task_id)
    assert (task.state, task.preemptions, task.failures, task.worker_id) == (S.PENDING, 1, 0, None)
    assert [row.outcome for row in attempts(database, lease.job_id)] == [Outcome.PREEMPTED]


def test_a_task_given_back_after_a_cancel_is_cancelled(database: Database) -> None:
    lease = rows.running(database)
    cancel(database, lease.job_id)
    for _ in range(2):
        act(database, give_back, lease)
    assert rows.job(database, lease.job_id).state is S.CANCELLED
    assert [row.outcome for row in attempts(database, lease.job_id)] == [Outcome.CANCELLED]


def test_a_failure_is_counted_and_explained(database: Database) -> None:
    lease = rows.running(database)
    end(database, lease, Outcome.FAILED, reason=FailureReason.NON_FINITE_LOSS, message="loss is nan at step 7")
    task, job = rows.task(database, lease.task_id), rows.job(database, lease.job_id)
    assert (task.failures, task.reason) == (1, "NaNLoss")
    assert (job.state, job.reason, job.message) == (S.FAILED, "NaNLoss", "loss is nan at step 7")
    (attempt,) = attempts(database, lease.job_id)
    assert (attempt.outcome, attempt.reason, attempt.message) == (Outcome.FAILED, "NaNLoss", "loss is nan at step 7")
    assert attempt.finished_at is not None


@pytest.mark.parametrize("how", ["lose", "expire"])
def test_a_task_that_takes_down_its_worker_again_and_again_is_given_up(database: Database, how: str) -> None:
    job_id = rows.add(database)
    worker = rows.add_worker(database)
    for number in (1, 2, 3):
        rows.queue(database)
        lease = rows.claimed(database, worker)
        if how == "lose":
            act(database, lose, lease, "signal 9", max_lost_leases=3)
        else:
            expire(database, lease, limit=3)
        (task,) = rows.tasks(database, job_id)
        assert task.lost_leases == number
        assert task.state is (S.FAILED if number == 3 else S.PENDING)
    job = rows.job(database, job_id)
    assert (job.state, job.reason) == (S.FAILED, FailureReason.WORKER_LOST)
    assert job.message is not None
    assert "3" in job.message
    assert [row.outcome for row in attempts(database, job_id)] == [Outcome.LOST] * 3


@pytest.mark.parametrize("how", ["lose", "expire"])
def test_a_lost_lease_of_a_cancelled_job_is_cancelled_even_if_it_was_the_last_allowed(
    database: Database, how: str
) -> None:
    lease = rows.running(database)
    cancel(database, lease.job_id)
    if how == "lose":
        act(database, lose, lease, "signal 9", max_lost_leases=1)
    else:
        assert expire(database, lease, limit=1) is S.CANCELLED
    assert rows.job(database, lease.job_id).state is S.CANCELLED


def test_a_success_that_commits_before_the_cancel_is_seen_stands(database: Database) -> None:
    lease = rows.running(database)
    cancel(database, lease.job_id)
    end(database, lease)
    assert rows.job(database, lease.job_id).state is S.SUCCEEDED


def test_expiry_and_finish_at_the_same_moment_have_one_winner(database: Database) -> None:
    for _ in range(5):
        lease = rows.running(database)
        with database.read() as session:
            seen: Sighting = sight_running(session)[lease.task_id]
        expired, ended = rows.run_all(
            partial(act, database, expire_lease, lease.task_id, seen, max_lost_leases=9),
            partial(end, database, lease),
        )
        task = rows.task(database, lease.task_id)
        if expired is None:
            assert (ended, task.state) == (None, S.SUCCEEDED)
        else:
            assert isinstance(ended, LeaseLost)
            assert (expired, task.state) == (S.PENDING, S.PENDING)
            cancel(database, lease.job_id)

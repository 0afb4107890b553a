import json
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from db.control import cancel_job
from db.dispatch import mark_dispatched
from db.engine import Database
from db.leases import finish, heartbeat
from db.tables.fleet import DeviceKind
from db.tables.jobs import Outcome, Queue, Task
from db.workers import beat_worker, present_workers, stop_worker
from pixmill.sections import SchedulerSettings
from pixmill.settings import Settings, load_settings
from pixmill.states import FailureReason, State
from scheduler.broker import WakeUpSender
from scheduler.messages import make_celery
from scheduler.tick import Ticker
from tests import rows
from tests.conftest import Broker
from tests.rows import act
from tests.servers import Valkey
from tests.waiting import wait_until

CPU, CUDA = DeviceKind.CPU, DeviceKind.CUDA


LEASE = 0.6  # seconds; many ticks fit into half of it even where everything is slow


def ticker(database: Database, settings: Settings, **changes: float) -> Ticker:
    return Ticker(database, WakeUpSender(make_celery(settings), settings), SchedulerSettings(**changes))


@pytest.fixture
def own(database: Database, settings: Settings) -> Ticker:
    return ticker(database, settings)


def messages(valkey: Broker | Valkey, kind: str = CPU) -> list[tuple[int, int]]:
    """(task id, dispatch_seq) of the wake-ups that lie in Redis, first sent first."""
    with valkey.client() as client:
        raw = client.lrange(f"pixmill.{kind}", 0, -1)
    found = [json.loads(text)["headers"]["argsrepr"] for text in reversed(raw)]
    return [tuple(json.loads(text.replace("(", "[").replace(")", "]"))) for text in found]


def sent_long_ago(database: Database, seconds: float) -> None:
    with database.write() as session:
        for task in session.query(Task).where(Task.dispatched_at.is_not(None)):
            assert task.dispatched_at is not None
            task.dispatched_at -= timedelta(seconds=seconds)


def test_a_ready_task_is_sent_to_a_free_worker_once(database: Database, own: Ticker, valkey: Broker) -> None:
    job_id = rows.add(database)
    rows.add_worker(database)
    assert own.tick() == 1
    (task,) = rows.tasks(database, job_id)
    assert (task.state, task.dispatch_seq) == (State.QUEUED, 1)
    assert task.dispatched_at is not None
    assert own.tick() == 0
    assert messages(valkey) == [(task.id, 1)]


def test_without_a_worker_nothing_is_sent(database: Database, own: Ticker, valkey: Broker) -> None:
    job_id = rows.add(database)
    assert own.tick() == 0
    assert rows.states(database, job_id) == [State.PENDING]
    assert messages(valkey) == []


def test_no_more_wake_ups_are_on_their_way_than_workers_are_free(
    database: Database, own: Ticker, valkey: Broker
) -> None:
    jobs = [rows.add(database) for _ in range(6)]
    workers = [rows.add_worker(database, host=f"host{number}") for number in range(3)]
    for _ in range(3):
        own.tick()
    first, *others = messages(valkey)
    assert len(others) == 2
    lease = rows.claimed(database, workers[0], first)
    assert own.tick() == 0
    act(database, finish, lease, Outcome.SUCCEEDED)
    assert own.tick() == 1
    waiting = [job_id for job_id in jobs if rows.job(database, job_id).state is State.PENDING]
    assert waiting == jobs[4:]


def test_a_task_for_any_device_goes_to_the_gpu_first(database: Database, own: Ticker, valkey: Broker) -> None:
    rows.add_worker(database)
    rows.add_worker(database, CUDA)
    rows.add(database)
    assert own.tick() == 1
    assert (len(messages(valkey, CUDA)), len(messages(valkey, CPU))) == (1, 0)
    rows.add(database)
    assert own.tick() == 1
    assert (len(messages(valkey, CUDA)), len(messages(valkey, CPU))) == (1, 1)


def test_tasks_go_to_the_list_of_the_device_they_need(database: Database, own: Ticker, valkey: Broker) -> None:
    rows.add_worker(database)
    rows.add_worker(database, CUDA)
    for kind in (CPU, CUDA, CUDA):
        rows.add(database, device_kind=kind)
    assert own.tick() == 2
    assert (len(messages(valkey, CUDA)), len(messages(valkey, CPU))) == (1, 1)


def test_a_task_for_several_devices_wakes_a_worker_that_owns_them_and_waits_without_one(
    database: Database, own: Ticker, valkey: Broker
) -> None:
    for host, width in (("a", 1), ("b", 4), ("c", 2)):
        rows.add_worker(database, host=host, width=width)
    jobs = [rows.add(database, devices=devices) for devices in (2, 3, 5)]
    assert own.tick() == 2
    assert (len(messages(valkey)), len(messages(valkey, "cpu.2")), len(messages(valkey, "cpu.4"))) == (0, 1, 1)
    assert [rows.states(database, job_id) for job_id in jobs] == [[State.QUEUED], [State.QUEUED], [State.PENDING]]
    sent_long_ago(database, 60)
    assert own.tick() == 2
    assert (len(messages(valkey)), len(messages(valkey, "cpu.2")), len(messages(valkey, "cpu.4"))) == (0, 2, 2)


def test_a_lost_wake_up_is_sent_again_after_its_time_and_not_before(
    database: Database, own: Ticker, valkey: Broker
) -> None:
    rows.add(database)
    rows.add_worker(database)
    own.tick()
    with valkey.client() as client:
        client.flushdb()
    sent_long_ago(database, 12)
    assert own.tick() == 0
    sent_long_ago(database, 1)
    assert own.tick() == 1
    ((_, dispatch_seq),) = messages(valkey)
    assert dispatch_seq == 1
    assert own.tick() == 0


def test_a_wake_up_that_nobody_can_take_any_more_goes_back(database: Database, own: Ticker) -> None:
    job_id = rows.add(database)
    worker = rows.add_worker(database)
    own.tick()
    act(database, stop_worker, worker.id)
    assert own.tick() == 0
    assert rows.states(database, job_id) == [State.QUEUED]
    sent_long_ago(database, 16)
    own.tick()
    assert rows.states(database, job_id) == [State.PENDING]


def test_while_redis_is_away_nothing_is_lost_and_the_reason_is_known(
    own_valkey: Valkey, database: Database, tmp_path: Path
) -> None:
    settings = load_settings(flags={"home": tmp_path, "broker.url": own_valkey.url})
    own = ticker(database, settings)
    for number in range(2):
        rows.add(database)
        rows.add_worker(database, host=f"host{number}")
    own_valkey.kill()
    assert own.tick() == 0
    errors = [own.broker_error]
    own_valkey.start()
    assert own.tick() == 2
    errors.append(own.broker_error)
    assert "Redis does not answer" in str(errors[0])
    assert errors[1] is None
    assert len(messages(own_valkey)) == 2


def test_a_paused_queue_leaves_the_worker_to_others(database: Database, own: Ticker, valkey: Broker) -> None:
    slow = rows.add(database, queue="slow", priority=9)
    quick = rows.add(database, queue="quick")
    rows.add_worker(database)
    own.tick()
    assert rows.job(database, slow).state is State.QUEUED
    with database.write() as session:
        session.execute(update(Queue).where(Queue.name == "slow").values(paused=True))
    assert own.tick() == 1
    assert [rows.job(database, job_id).state for job_id in (slow, quick)] == [State.PENDING, State.QUEUED]


def test_a_cancelled_job_frees_its_place(database: Database, own: Ticker) -> None:
    first, second = rows.add(database), rows.add(database)
    rows.add_worker(database)
    own.tick()
    act(database, cancel_job, first, actor="ann")
    assert own.tick() == 1
    assert rows.states(database, second) == [State.QUEUED]


def test_a_job_that_waits_in_vain_fails_within_one_tick(database: Database, own: Ticker) -> None:
    parent = rows.add(database)
    child = rows.add(database, parents={parent: False})
    act(database, cancel_job, parent, actor="ann")
    own.tick()
    job = rows.job(database, child)
    assert (job.state, job.reason) == (State.FAILED, FailureReason.DEPENDENCY)


def test_a_child_is_sent_in_the_tick_after_its_parent_ends(database: Database, own: Ticker) -> None:
    parent = rows.add(database)
    child = rows.add(database, parents={parent: False})
    worker = rows.add_worker(database)
    own.tick()
    act(database, finish, rows.claimed(database, worker), Outcome.SUCCEEDED)
    assert own.tick() == 1
    assert rows.states(database, child) == [State.QUEUED]


def test_a_silent_worker_loses_its_task_and_is_no_longer_counted(database: Database, settings: Settings) -> None:
    lease = rows.running(database)
    own = ticker(database, settings, lease_seconds=LEASE)

    def is_given_up() -> bool:
        own.tick()
        with database.read() as session:
            return not present_workers(session) and rows.task(database, lease.task_id).lost_leases == 1

    wait_until(is_given_up)
    own.tick()
    assert rows.task(database, lease.task_id).lost_leases == 1


def test_a_worker_that_beats_keeps_its_task(database: Database, settings: Settings) -> None:
    silent, alive = rows.running(database), rows.running(database)
    own = ticker(database, settings, lease_seconds=LEASE)

    def beat_until_the_other_is_lost() -> bool:
        act(database, heartbeat, alive, None, 0)
        act(database, beat_worker, alive.worker_id)
        own.tick()
        return rows.task(database, silent.task_id).lost_leases == 1

    wait_until(beat_until_the_other_is_lost)
    assert rows.states(database, alive.job_id) == [State.RUNNING]
    with database.read() as session:
        assert alive.worker_id in {worker.id for worker in present_workers(session)}


def test_after_an_outage_of_the_database_everyone_gets_a_whole_lease(database: Database, settings: Settings) -> None:
    lease = rows.running(database)
    own = ticker(database, settings, lease_seconds=LEASE)
    own.tick()
    time.sleep(LEASE / 3)  # of the lease that the outage cuts short
    own.forget()
    forgotten_at = time.monotonic()

    def is_given_up() -> bool:
        own.tick()
        return rows.states(database, lease.job_id) != [State.RUNNING]

    wait_until(is_given_up)
    assert time.monotonic() - forgotten_at >= LEASE


def test_a_scheduler_that_just_started_expires_nothing(database: Database, settings: Settings) -> None:
    lease = rows.running(database)
    ticker(database, settings, lease_seconds=1e-9).tick()
    assert rows.states(database, lease.job_id) == [State.RUNNING]


def test_two_schedulers_start_no_task_twice(database: Database, settings: Settings, valkey: Broker) -> None:
    for number in range(3):
        rows.add(database)
        rows.add_worker(database, host=f"host{number}")
    schedulers = [ticker(database, settings) for _ in range(2)]
    results = rows.run_all(*[own.tick for own in schedulers])
    assert all(isinstance(count, int) for count in results)
    assert len({task_id for task_id, _ in messages(valkey)}) == 3
    assert {dispatch_seq for _, dispatch_seq in messages(valkey)} == {1}


def test_a_wake_up_that_was_sent_but_not_marked_is_sent_again(database: Database, own: Ticker, valkey: Broker) -> None:
    rows.add(database)
    rows.add_worker(database)
    (wake_up,) = rows.queue(database)
    assert own.tick() == 1
    act(database, mark_dispatched, [wake_up])
    assert own.tick() == 0
    assert messages(valkey) == [(wake_up.task_id, 1)]

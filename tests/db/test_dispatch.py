from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import update

from db.dispatch import (
    WakeUp,
    expire_lease,
    free_slots,
    mark_dispatched,
    queue_ready_tasks,
    queued_tasks,
    sight_running,
    unqueue,
    unqueue_paused,
)
from db.engine import Database
from db.lanes import Slot
from db.leases import finish, heartbeat
from db.order import waiting_wake_ups
from db.tables.fleet import DeviceKind
from db.tables.jobs import Outcome, Queue, Task
from db.views import job_events
from db.workers import database_time, set_draining, stop_worker
from pixmill.states import State
from tests import rows
from tests.rows import act

CPU, CUDA = DeviceKind.CPU, DeviceKind.CUDA


def order(database: Database, count: int = 100, kind: DeviceKind = CPU) -> list[int]:
    """Jobs in the order in which their tasks are sent."""
    return [rows.task(database, wake_up.task_id).job_id for wake_up in rows.queue(database, count, kind)]


def pause(database: Database, name: str, paused: bool = True) -> None:
    with database.write() as session:
        session.execute(update(Queue).where(Queue.name == name).values(paused=paused))


def slots(database: Database) -> dict[Slot, int]:
    with database.read() as session:
        return free_slots(session)


def test_the_highest_priority_goes_first_and_then_the_oldest(database: Database) -> None:
    jobs = {priority: rows.add(database, priority=priority) for priority in (0, 5, -5, 9)}
    second = rows.add(database, priority=5)
    assert order(database) == [jobs[9], jobs[5], second, jobs[0], jobs[-5]]


def test_no_more_is_queued_than_was_asked_for(database: Database) -> None:
    jobs = [rows.add(database) for _ in range(3)]
    assert order(database, 2) == jobs[:2]
    assert order(database, 2) == jobs[2:]
    assert order(database, 2) == []


def test_two_schedulers_at_once_queue_every_task_once(database: Database) -> None:
    jobs = [rows.add(database) for _ in range(4)]
    found = rows.run_all(*[partial(act, database, queue_ready_tasks, Slot(CPU), 4)] * 2)
    tasks = [wake_up.task_id for wake_ups in found for wake_up in wake_ups]
    assert sorted(tasks) == sorted(row.id for job_id in jobs for row in rows.tasks(database, job_id))
    assert all(rows.states(database, job_id) == [State.QUEUED] for job_id in jobs)


@pytest.mark.parametrize(("needs", "device", "fits"), [(None, CPU, 1), (CPU, CPU, 1), (CUDA, CPU, 0), (CUDA, CUDA, 1)])
def test_a_task_goes_only_to_a_device_that_fits(
    database: Database, needs: DeviceKind | None, device: DeviceKind, fits: int
) -> None:
    rows.add(database, device_kind=needs)
    wake_ups = rows.queue(database, kind=device)
    assert [wake_up.slot for wake_up in wake_ups] == [Slot(device)] * fits


def test_a_job_waits_for_its_begin_time(database: Database) -> None:
    with database.read() as session:
        at = database_time(session)
    later = rows.add(database, begin_at=at + timedelta(hours=1))
    past = rows.add(database, begin_at=at - timedelta(milliseconds=1))
    assert order(database) == [past]
    with database.write() as session:
        session.execute(update(Task).where(Task.job_id == later).values(available_at=at))
    assert order(database) == [later]


def test_a_paused_queue_waits_and_another_does_not(database: Database) -> None:
    slow, quick = rows.add(database, queue="slow"), rows.add(database, queue="quick")
    pause(database, "slow")
    assert order(database) == [quick]
    pause(database, "slow", paused=False)
    assert order(database) == [slow]


def test_what_a_paused_queue_had_sent_is_taken_back(database: Database) -> None:
    slow, quick = rows.add(database, queue="slow"), rows.add(database, queue="quick")
    rows.queue(database)
    pause(database, "slow")
    act(database, unqueue_paused)
    assert [rows.job(database, job_id).state for job_id in (slow, quick)] == [State.PENDING, State.QUEUED]
    pause(database, "slow", paused=False)
    (again,) = rows.queue(database)
    assert again.dispatch_seq == 2


def test_a_slot_is_a_worker_that_runs_nothing(database: Database) -> None:
    assert slots(database) == {}
    worker = rows.add_worker(database)
    gpus = [rows.add_worker(database, CUDA, number=number) for number in range(2)]
    assert slots(database) == {Slot(CPU): 1, Slot(CUDA): 2}
    rows.add(database)
    rows.queue(database)
    lease = rows.claimed(database, worker)
    act(database, set_draining, gpus[0].id)
    assert slots(database) == {Slot(CUDA): 1}
    act(database, finish, lease, Outcome.SUCCEEDED)
    act(database, stop_worker, gpus[1].id)
    assert slots(database) == {Slot(CPU): 1}


def test_a_task_for_several_devices_goes_to_a_worker_with_as_many_or_more(database: Database) -> None:
    job_id = rows.add(database, devices=2)
    narrow, wide = rows.add_worker(database), rows.add_worker(database, width=3)
    assert order(database) == []
    assert rows.try_claim(database, narrow) is None
    (wake_up,) = rows.queue(database, width=3)
    assert wake_up.slot == Slot(CPU, 3)
    with database.read() as session:
        assert dict(waiting_wake_ups(session)) == {(None, 2): 1}
    assert rows.try_claim(database, narrow, (wake_up.task_id, wake_up.dispatch_seq)) is None
    assert rows.claimed(database, wide, (wake_up.task_id, wake_up.dispatch_seq)).job_id == job_id


def test_a_worker_of_several_devices_takes_what_is_best_narrow_or_wide(database: Database) -> None:
    jobs = [rows.add(database, devices=devices) for devices in (1, 2, 1)]
    taken = [rows.claimed(database, rows.add_worker(database, host=host, width=2)).job_id for host in "abc"]
    assert taken == jobs


def test_the_fast_devices_are_offered_work_first(database: Database) -> None:
    rows.add_worker(database)
    rows.add_worker(database, CUDA, width=2)
    rows.add_worker(database, CUDA, number=2)
    assert slots(database) == {Slot(CUDA): 1, Slot(CUDA, 2): 1, Slot(CPU): 1}
    assert list(slots(database)) == [Slot(CUDA), Slot(CUDA, 2), Slot(CPU)]


def test_wake_ups_on_their_way_are_counted_by_the_device_they_need(database: Database) -> None:
    for kind in (None, None, CPU, CUDA):
        rows.add(database, device_kind=kind)
    rows.queue(database, kind=CPU)
    with database.read() as session:
        assert dict(waiting_wake_ups(session)) == {(None, 1): 2, (CPU, 1): 1}


def test_a_wake_up_is_marked_as_sent_only_while_it_is_the_latest(database: Database) -> None:
    rows.add(database)
    (wake_up,) = rows.queue(database)
    act(database, mark_dispatched, [WakeUp(wake_up.task_id, wake_up.dispatch_seq + 1, Slot(CPU))])
    assert rows.task(database, wake_up.task_id).dispatched_at is None
    act(database, mark_dispatched, [wake_up])
    assert rows.task(database, wake_up.task_id).dispatched_at is not None
    rows.claimed(database, rows.add_worker(database))
    with database.read() as session:
        assert list(queued_tasks(session)) == []


def test_a_task_taken_back_from_the_queue_is_sent_anew(database: Database) -> None:
    job_id = rows.add(database)
    rows.queue(database)
    with database.read() as session:
        (task,) = queued_tasks(session)
    act(database, unqueue, task, "no worker is left")
    assert rows.states(database, job_id) == [State.PENDING]
    (again,) = rows.queue(database)
    assert again.dispatch_seq == 2
    act(database, unqueue, task, "an old look")
    assert rows.states(database, job_id) == [State.QUEUED]


def test_only_an_unchanged_lease_expires(database: Database) -> None:
    lease = rows.running(database)
    with database.read() as session:
        seen = sight_running(session)
    act(database, heartbeat, lease, None, 0)
    assert act(database, expire_lease, lease.task_id, seen[lease.task_id], max_lost_leases=3) is None
    assert rows.states(database, lease.job_id) == [State.RUNNING]
    with database.read() as session:
        seen = sight_running(session)
    assert act(database, expire_lease, lease.task_id, seen[lease.task_id], max_lost_leases=3) is State.PENDING
    assert act(database, expire_lease, lease.task_id, seen[lease.task_id], max_lost_leases=3) is None
    assert rows.task(database, lease.task_id).lost_leases == 1


def test_a_task_that_is_gone_does_not_expire(database: Database) -> None:
    lease = rows.running(database)
    with database.read() as session:
        seen = sight_running(session)[lease.task_id]
    assert act(database, expire_lease, 999, seen, max_lost_leases=3) is None


def test_every_step_of_a_task_leaves_an_event(database: Database) -> None:
    lease = rows.running(database)
    act(database, finish, lease, Outcome.SUCCEEDED)
    with database.read() as session:
        events = [event for event in job_events(session, lease.job_id) if event.task_id]
    assert [(event.action, event.actor) for event in events] == [
        ("queue", "scheduler"),
        ("claim", "here:cpu"),
        ("succeeded", "here:cpu"),
    ]
    assert [event.to_state for event in events] == ["queued", "running", "succeeded"]
    assert [event.from_state for event in events] == ["pending", "queued", "running"]

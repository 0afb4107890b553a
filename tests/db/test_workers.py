from datetime import timedelta
from functools import partial

from sqlalchemy import func, select

from db.engine import Database
from db.tables.fleet import Device, DeviceKind, Worker
from db.workers import (
    DeviceFacts,
    Reading,
    beat_scheduler,
    beat_worker,
    charge_account,
    database_time,
    is_same,
    is_silent,
    latest_scheduler,
    latest_workers,
    present_workers,
    register_scheduler,
    register_worker,
    running_tasks,
    stop_scheduler,
    stop_worker,
)
from pixmill import __version__
from tests import rows
from tests.rows import act


def test_a_worker_is_named_after_its_host_and_device(database: Database) -> None:
    worker = rows.add_worker(database, DeviceKind.CUDA, host="big", number=1)
    assert (worker.name, worker.version, worker.stopped_at) == ("big:cuda:1", __version__, None)
    assert (worker.device.kind, worker.device.memory_bytes) == (DeviceKind.CUDA, 2**34)


def test_a_device_is_one_row_that_follows_its_facts(database: Database) -> None:
    rows.add_worker(database)
    facts = DeviceFacts(host="here", name="cpu", kind=DeviceKind.CPU, model="a faster one", memory_bytes=2**36)
    act(database, register_worker, facts, 7)
    with database.read() as session:
        (device,) = session.scalars(select(Device))
    assert (device.model, device.memory_bytes) == ("a faster one", 2**36)


def test_workers_that_start_at_once_share_the_device_row(database: Database) -> None:
    workers = rows.run_all(*[partial(rows.add_worker, database)] * 3)
    assert len({worker.id for worker in workers}) == 3
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Device)) == 1


def test_a_worker_that_a_restored_database_does_not_know_is_told_apart(database: Database) -> None:
    worker = rows.add_worker(database)
    with database.read() as session:
        same, other = session.get_one(Worker, worker.id), rows.add_worker(database)
    assert is_same(worker, same)
    assert not is_same(worker, other)  # of the same device and process id, but begun at another time
    assert act(database, beat_scheduler, 7, None) is False
    act(database, charge_account, "default", "nobody", 1.0)


def test_a_beat_brings_what_the_devices_do_or_that_nobody_knows(database: Database) -> None:
    worker = rows.add_worker(database)

    def seen() -> tuple[float | None, int | None]:
        with database.read() as session:
            (row,) = latest_workers(session)
            return row.utilisation, row.memory_used_bytes

    assert seen() == (None, None)
    act(database, beat_worker, worker.id, Reading(0.25, 3 * 2**33))
    assert seen() == (0.25, 3 * 2**33)
    act(database, beat_worker, worker.id)
    assert seen() == (None, None)


def test_a_worker_is_present_until_it_stops_and_again_when_it_beats(database: Database) -> None:
    worker = rows.add_worker(database)

    def present() -> list[int]:
        with database.read() as session:
            return [row.id for row in present_workers(session)]

    assert present() == [worker.id]
    act(database, stop_worker, worker.id)
    assert present() == []
    act(database, beat_worker, worker.id)
    assert present() == [worker.id]


def test_every_beat_counts(database: Database) -> None:
    worker = rows.add_worker(database)
    for _ in range(3):
        act(database, beat_worker, worker.id)
    with database.read() as session:
        (row,) = present_workers(session)
        assert row.heartbeat_count == 3
        assert worker.started_at <= row.seen_at <= database_time(session)


def test_the_latest_worker_of_each_device_is_shown_ended_or_not(database: Database) -> None:
    rows.add_worker(database, host="b")
    newer = rows.add_worker(database, host="b")
    other = rows.add_worker(database, host="a")
    act(database, stop_worker, newer.id)
    with database.read() as session:
        assert [row.id for row in latest_workers(session)] == [other.id, newer.id]


def test_the_task_of_a_busy_worker_is_found(database: Database) -> None:
    lease = rows.running(database)
    rows.add_worker(database, host="idle")
    with database.read() as session:
        assert {worker: task.id for worker, task in running_tasks(session).items()} == {lease.worker_id: lease.task_id}


def test_the_scheduler_that_was_seen_last_is_shown(database: Database) -> None:
    with database.read() as session:
        assert latest_scheduler(session) is None
    first = act(database, register_scheduler, "here", 1)
    second = act(database, register_scheduler, "there", 2)
    act(database, beat_scheduler, second.id, None)
    act(database, beat_scheduler, first.id, "Redis does not answer")
    with database.read() as session:
        shown = latest_scheduler(session)
    assert shown is not None
    assert (shown.id, shown.broker_error) == (first.id, "Redis does not answer")
    act(database, stop_scheduler, first.id)
    with database.read() as session:
        shown = latest_scheduler(session)
    assert shown is not None
    assert shown.stopped_at is not None


def test_silence_is_more_than_a_lease_without_a_beat(database: Database) -> None:
    with database.read() as session:
        at = database_time(session)
    assert not is_silent(at - timedelta(seconds=30), at, 30)
    assert is_silent(at - timedelta(seconds=30.1), at, 30)


def test_a_worker_row_of_its_own_is_added_at_every_start(database: Database) -> None:
    first, second = rows.add_worker(database), rows.add_worker(database)
    assert first.id != second.id
    with database.read() as session:
        devices = {row.device_id for row in session.scalars(select(Worker))}
    assert len(devices) == 1

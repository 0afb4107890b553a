"""Schedulers, workers, devices and drivers, each made wrong in turn."""

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from cli.doctor.drivers import examine_drivers, examine_served
from cli.doctor.findings import Finding, Level
from cli.doctor.fleet import examine_fleet, examine_schedulers
from client.fleet import read_fleet
from db.control import drain_device
from db.engine import Database
from db.tables.fleet import DeviceKind, Scheduler, Worker
from db.workers import database_time, register_scheduler, stop_worker
from tests import rows
from tests.cli.diagnosing import only, wrong
from tests.rows import act

HOUR = timedelta(hours=1)


def schedulers(database: Database) -> list[Finding]:
    with database.read() as session:
        return list(examine_schedulers(session, database_time(session), 30.0))


def fleet(database: Database) -> list[Finding]:
    with database.read() as session:
        return list(examine_fleet(read_fleet(session, 30.0)))


def change(database: Database, table: type[Scheduler | Worker], **values: Any) -> None:
    with database.write() as session:
        session.execute(update(table).values(**values))


def test_without_a_scheduler_nothing_is_dispatched(database: Database) -> None:
    found = only(schedulers(database))
    assert (found.state, found.remedy) == (Level.PROBLEM, "pixmill up")
    assert "none has ever run" in found.detail
    act(database, register_scheduler, "a", 1)
    change(database, Scheduler, seen_at=datetime.now(UTC) - HOUR)
    assert "the last was seen 1h ago on a" in only(schedulers(database)).detail
    change(database, Scheduler, stopped_at=datetime.now(UTC))
    assert "the last was seen 1h ago on a" in only(schedulers(database)).detail


def test_schedulers_tell_how_many_run_and_what_they_lack(database: Database) -> None:
    act(database, register_scheduler, "a", 1)
    act(database, register_scheduler, "b", 2)
    (found,) = schedulers(database)
    assert found.detail.startswith("2 run: ")
    change(database, Scheduler, broker_error="no route", version="0.0.1")
    details = wrong(schedulers(database))
    assert "on a it cannot send wake-ups: no route" in details
    assert any("runs pixmill 0.0.1, this is" in detail for detail in details)


def test_a_fleet_at_work_is_in_order_and_an_empty_one_is_not(database: Database) -> None:
    assert only(fleet(database)).remedy == "pixmill up"
    rows.add_worker(database)
    assert wrong(fleet(database)) == {}


def test_workers_that_are_silent_deaf_old_or_gone_are_told_apart(database: Database) -> None:
    worker = rows.add_worker(database, DeviceKind.CUDA, number=3)
    start = "pixmill worker start --device cuda:3"
    change(database, Worker, version="0.0.1")
    assert "runs pixmill 0.0.1" in only(fleet(database)).detail
    change(database, Worker, version=worker.version, canary_sent=5, canary_heard=2)
    found = only(fleet(database))
    assert (found.state, found.detail) == (Level.PROBLEM, "here:cuda:3 beats but heard none of the last 3 messages")
    change(database, Worker, canary_heard=5, seen_at=datetime.now(UTC) - HOUR)
    found = only(fleet(database))
    assert found.detail == "here:cuda:3 was last heard of 1h ago"
    assert (found.remedy or "").endswith(start)
    act(database, stop_worker, worker.id)
    assert any("no worker since 1h" in detail for detail in wrong(fleet(database)))
    change(database, Worker, seen_at=datetime.now(UTC) - timedelta(days=8))
    assert not any("cuda:3" in detail for detail in wrong(fleet(database)))
    assert fleet(database)[-1].detail.startswith("1 device without a worker for more than a week")


def test_a_drained_device_is_told_with_its_reason(database: Database) -> None:
    worker = rows.add_worker(database, host=socket.gethostname())
    act(database, drain_device, worker.device_id, actor="ann", why="fan broken")
    found = only(fleet(database))
    assert (found.detail, found.remedy) == ("cpu is drained: fan broken", "pixmill device resume cpu")


CUDA_DEVICE = {"device": "cuda:0", "kind": "cuda", "model": "NVIDIA H200", "memory_bytes": 150_000_000_000}
CPU_DEVICE = {"device": "cpu", "kind": "cpu", "model": "a CPU", "memory_bytes": 10**10}


@pytest.mark.parametrize(
    ("build", "driver", "device", "level", "words"),
    [
        (None, None, CPU_DEVICE, Level.OK, ""),
        ("12.8", None, CPU_DEVICE, Level.OK, ""),
        ("12.8", "12.4", CUDA_DEVICE, Level.OK, ""),
        ("12.8", "13.0", CUDA_DEVICE, Level.OK, ""),
        (None, "12.8", CPU_DEVICE, Level.WARNING, "a torch that uses no GPU"),
        ("12.8", "11.4", CPU_DEVICE, Level.PROBLEM, "the driver runs CUDA 11.4 at most"),
        ("12.8", "12.8", CPU_DEVICE, Level.PROBLEM, "torch finds no device"),
    ],
)
def test_torch_and_driver_must_fit(
    build: str | None, driver: str | None, device: dict[str, Any], level: Level, words: str
) -> None:
    facts = {"torch": "2.13.0", "cuda_build": build, "cuda_driver": driver, "devices": [device]}
    found = list(examine_drivers(facts))
    assert found[0].detail.startswith("torch 2.13.0, built for ")
    assert found[-1].state is level
    assert words in found[-1].detail


def test_a_gpu_that_never_had_a_worker_is_told(database: Database) -> None:
    facts = {"devices": [CUDA_DEVICE]}
    found = only(examine_served(facts, []))
    assert found.remedy == "pixmill worker start --device cuda:0"
    rows.add_worker(database, DeviceKind.CUDA, host=socket.gethostname())
    with database.read() as session:
        assert list(examine_served(facts, read_fleet(session, 30.0))) == []

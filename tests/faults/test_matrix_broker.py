"""Rows 8 to 14 of the fault matrix: a Redis that dies, forgets, cuts, loses, doubles, is full or says nothing.

The line of these tests talks to its Redis through a relay, so that the network can fail as well.
"""

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.dispatch import WakeUp
from db.lanes import Slot
from db.tables.fleet import DeviceKind
from pixmill.specs import PingSpec
from pixmill.states import State
from scheduler.broker import WakeUpSender
from scheduler.messages import make_celery
from scheduler.names import celery_queue
from tests.databases import copied_sqlite
from tests.faults.conftest import disturbed
from tests.faults.proxy import Proxy
from tests.faults.rough import SLOW, RoughLine, seconds_until, seeded
from tests.servers import Valkey, running_valkey
from tests.waiting import wait_until
from tests.worker.line import REPOSITORY

BACK_SECONDS = 5.0  # from the return of Redis to the first job that is taken
RESENT_SECONDS = 3.0  # the line's redispatch period of a second, a tick, and a busy machine
OUTAGES = (0.5, 6.0, 60.0) if SLOW else (0.5, 6.0)  # seconds
QUEUE = celery_queue(DeviceKind.CPU)


@pytest.fixture(scope="module")
def frail_valkey() -> Iterator[Valkey]:
    """A server that these tests kill and start again."""
    with running_valkey() as server:
        yield server


@pytest.fixture(scope="module")
def network(frail_valkey: Valkey) -> Iterator[Proxy]:
    """What lies between that server and the line."""
    proxy = Proxy(frail_valkey.folder / "network.sock", frail_valkey.socket)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def standing_frail_line(
    network: Proxy, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RoughLine]:
    """The line over it."""
    home = tmp_path_factory.mktemp("frail")
    line = RoughLine(home, copied_sqlite(sqlite_template, home), network.url, workers=1)
    yield line
    line.stop()


@pytest.fixture
def frail_line(standing_frail_line: RoughLine) -> Iterator[RoughLine]:
    """The line, at rest and with a worker that listens; its promises are checked afterwards."""
    for line in disturbed(standing_frail_line):
        line.run(PingSpec())
        yield line


@pytest.mark.parametrize("seconds", OUTAGES)
def test_row_08_a_redis_that_was_killed_is_used_within_seconds_of_its_return(
    frail_line: RoughLine, frail_valkey: Valkey, seconds: float
) -> None:
    line = frail_line
    before = line.submit_all([PingSpec()] * 20)
    frail_valkey.kill()
    died_at = time.monotonic()
    during = line.submit_all([PingSpec()] * 20)
    while time.monotonic() - died_at < seconds:  # the outage is as long as it is
        during.append(line.submit(PingSpec()))
        time.sleep(seconds / 5)
    frail_valkey.start()
    probe = line.submit(PingSpec())
    assert seconds_until(lambda: line.job(probe).state.is_terminal) < BACK_SECONDS
    expect_success(line, [*before, *during, probe])


def test_row_08_a_worker_owes_redis_no_acknowledgement_that_could_be_lost(
    frail_line: RoughLine, frail_valkey: Valkey
) -> None:
    with frail_valkey.client() as client, client.monitor() as monitor:
        frail_line.run(PingSpec())
        client.echo("that is all")
        commands = (each["command"] for each in monitor.listen())
        seen = list(itertools.takewhile(lambda command: "that is all" not in command, commands))
    assert any(command.startswith("LPUSH") and QUEUE in command for command in seen)
    kept = [command for command in seen if command.startswith(("ZADD", "HSET", "ZREM", "HDEL"))]
    assert not [command for command in kept if "unacked" in command]


def test_row_09_a_redis_that_forgets_everything_again_and_again_loses_nothing(
    frail_line: RoughLine, frail_valkey: Valkey
) -> None:
    line = frail_line
    jobs = line.submit_all([PingSpec()] * 500)
    with frail_valkey.client() as client:
        client.flushall()
        while not all(line.job(job).state.is_terminal for job in jobs[-20:]):
            client.flushall()
            time.sleep(2.0 if SLOW else 0.2)
    expect_success(line, jobs)


def test_row_09_each_forgotten_wake_up_is_sent_again_in_its_time(frail_line: RoughLine, frail_valkey: Valkey) -> None:
    line, jobs = frail_line, []
    with frail_valkey.client() as client:
        for _ in range(5):
            jobs.append(line.submit(PingSpec()))
            client.flushall()
            assert seconds_until(lambda: line.job(jobs[-1]).state.is_terminal) < RESENT_SECONDS
    expect_success(line, jobs)


def test_row_10_a_worker_whose_connections_are_cut_does_not_go_deaf(
    frail_line: RoughLine, frail_valkey: Valkey
) -> None:
    line, jobs = frail_line, []
    with frail_valkey.client() as client:
        for _ in range(30 if SLOW else 6):
            client.client_kill_filter(_type="normal", skipme=True)
            jobs.append(line.submit(PingSpec()))
            time.sleep(2.0 if SLOW else 0.2)
    assert seconds_until(lambda: line.job(jobs[-1]).state.is_terminal) < BACK_SECONDS
    expect_success(line, jobs)


def test_row_11_a_stolen_wake_up_is_sent_again(frail_line: RoughLine, frail_valkey: Valkey) -> None:
    line, jobs = frail_line, []
    stolen: list[bytes] = []

    def steal() -> None:
        with frail_valkey.client() as client:
            stolen.append(client.brpop([QUEUE], timeout=30.0)[1])

    thief = threading.Thread(target=steal)
    thief.start()
    while not stolen:  # the worker asks anew every second; whoever has asked for longest is served
        jobs.append(line.submit(PingSpec()))
        wait_until(lambda: stolen or line.job(jobs[-1]).state.is_terminal)
    thief.join()
    assert seconds_until(lambda: line.job(jobs[-1]).state.is_terminal) < RESENT_SECONDS
    expect_success(line, jobs)


def test_row_12_wake_ups_that_come_often_late_and_in_disorder_start_each_task_once(
    frail_line: RoughLine, frail_valkey: Valkey
) -> None:
    line = frail_line
    jobs = line.submit_all([PingSpec()] * 5, hold=True)
    tasks = [line.task(job).id for job in jobs]
    messages = [WakeUp(task, seq, Slot(DeviceKind.CPU)) for task in tasks for seq in range(3) for _ in range(10)]
    seeded("row 12").shuffle(messages)
    sender = WakeUpSender(make_celery(line.settings), line.settings)
    for message in messages[:50]:  # too early
        sender.send(message)
    for job in jobs:
        line.release(job)
    for message in messages[50:]:
        sender.send(message)
    expect_success(line, jobs)
    with frail_valkey.client() as client:
        wait_until(lambda: client.llen(QUEUE) == 0)  # those that came too late have been read, too
    assert [line.task(job).lease_epoch for job in jobs] == [1] * 5


def test_row_13_a_redis_that_is_full_delays_and_is_told(frail_line: RoughLine, frail_valkey: Valkey) -> None:
    line = frail_line
    with frail_valkey.client() as client:
        client.config_set("maxmemory", "1")
        try:
            jobs = jobs_that_wait(line)
            wait_until(lambda: "maxmemory" in status(line))
            assert not any(line.job(job).state.is_terminal for job in jobs)
        finally:
            client.config_set("maxmemory", "0")
    assert seconds_until(lambda: line.job(jobs[0]).state.is_terminal) < BACK_SECONDS
    expect_success(line, jobs)


def jobs_that_wait(line: RoughLine) -> list[int]:
    """Ten jobs for which a worker has to be woken: a late wake-up of an earlier test lets it take others at once."""
    for _ in range(5):
        said = line.log("scheduler").count("wake-ups wait")
        jobs = line.submit_all([PingSpec()] * 10)
        wait_until(
            lambda said=said, jobs=jobs: (  # type: ignore[misc]
                line.log("scheduler").count("wake-ups wait") > said or line.job(jobs[0]).state.is_terminal
            )
        )
        if not line.job(jobs[0]).state.is_terminal:
            return jobs
    raise AssertionError("the worker needs no wake-up")


def test_row_13_a_worker_that_has_to_connect_to_a_full_redis_anew_does_not_give_up(
    frail_line: RoughLine, frail_valkey: Valkey
) -> None:
    line = frail_line
    (worker,) = line.workers.values()
    assert worker is not None
    with frail_valkey.client() as client:
        client.config_set("maxmemory", "1")
        try:
            wait_until(lambda: any(each["cmd"] == "brpop" and "b" in each["flags"] for each in client.client_list()))
            before = client.info("stats")["total_connections_received"]
            client.client_kill_filter(_type="normal", skipme=True)
            wait_until(lambda: client.info("stats")["total_connections_received"] >= before + 3 or worker.poll())
        finally:
            client.config_set("maxmemory", "0")
    job = line.submit(PingSpec())
    assert seconds_until(lambda: line.job(job).state.is_terminal or worker.poll() is not None) < BACK_SECONDS
    assert worker.poll() is None, line.log("worker")
    expect_success(line, [job])


def test_row_14_a_network_that_swallows_everything_is_outlived(frail_line: RoughLine, network: Proxy) -> None:
    line = frail_line
    network.is_holding = True
    held_at = time.monotonic()
    during = line.submit(PingSpec())
    assert time.monotonic() - held_at < 3.0  # it tells nobody, and does not wait for that for long
    time.sleep(60.0 if SLOW else 7.0)  # longer than every time-out
    network.is_holding = False
    after = line.submit(PingSpec())
    assert seconds_until(lambda: line.job(after).state.is_terminal) < BACK_SECONDS
    expect_success(line, [during, after])


def expect_success(line: RoughLine, jobs: list[int]) -> None:
    """All succeed, each in one attempt."""
    line.wait_for_all(jobs)
    assert {line.job(job).state for job in jobs} == {State.SUCCEEDED}
    assert {line.task(job).lease_epoch for job in jobs} == {1}


def status(line: RoughLine) -> str:
    """What `pixmill status` says."""
    variables = {
        "PIXMILL_HOME": str(line.home),
        "PIXMILL_DATABASE_URL": line.settings.database_url,
        "PIXMILL_BROKER_URL": line.settings.broker_url,
    }
    command = [sys.executable, "-m", "cli", "status"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr

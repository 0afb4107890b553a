"""Rows 15 to 19, 24, 26, 28 and 31 of the fault matrix: a database that dies, cuts, locks, lags, or is raced for."""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.orm import Session

from db.claims import claim, unanswered_claim
from db.control import cancel_job
from db.engine import Database, open_database
from db.jobs import add_jobs
from db.leases import Lease, finish, give_back, heartbeat, lose, publish_checkpoint, publish_shard
from db.moves import lock_job
from db.schema import HEAD, VERSION_TABLE
from db.tables import Attempt, Checkpoint, Event, Outcome, Shard, Task
from pixmill.errors import DatabaseUnreachable, InvalidMove
from pixmill.settings import Settings, load_settings
from pixmill.specs import JobOptions, PingSpec
from pixmill.states import FailureReason, State
from scheduler.submit import submit
from tests import rows
from tests.faults.checker import check_history
from tests.faults.conftest import disturbed
from tests.faults.cutter import CommitCutter
from tests.faults.history import read_history
from tests.faults.rough import LEASE_SECONDS, NO_WORK, SLOW, RoughLine, seconds_until, seeded
from tests.rows import act
from tests.servers import Postgres, Valkey
from tests.worker.conftest import digits_model, small_generate
from tests.worker.line import REPOSITORY


@pytest.fixture(scope="module")
def standing_doomed_line(
    line_broker: Valkey, doomed_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RoughLine]:
    """A line over a PostgreSQL that may be stopped."""
    url = doomed_postgres.url("postgres")
    line = RoughLine(tmp_path_factory.mktemp("doomed"), url, line_broker.own_part(), workers=1)
    yield line
    line.stop()


@pytest.fixture
def doomed_line(standing_doomed_line: RoughLine) -> Iterator[RoughLine]:
    """That line, up; its promises are checked afterwards."""
    yield from disturbed(standing_doomed_line)


def test_row_15_a_postgresql_that_is_restarted_at_once_costs_nobody_a_lease(
    doomed_line: RoughLine, doomed_postgres: Postgres
) -> None:
    line, job = doomed_line, doomed_line.submit(doomed_line.training(images=30_000))
    line.wait_for_training(job)
    waiting = line.submit_all([PingSpec()] * 5)
    doomed_postgres.stop()  # SIGQUIT: what `pg_ctl -m immediate` does
    doomed_postgres.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    line.wait_for_all(waiting)
    assert (line.task(job).lease_epoch, line.task(job).lost_leases) == (1, 0)
    assert {line.job(one).state for one in waiting} == {State.SUCCEEDED}


def test_row_16_through_three_leases_without_postgresql_work_goes_on_and_nothing_is_done_twice(
    doomed_line: RoughLine, doomed_postgres: Postgres
) -> None:
    line, job = doomed_line, doomed_line.submit(doomed_line.training(images=60_000))
    line.wait_for_training(job)
    waiting = line.submit_all([PingSpec()] * 5)
    log = line.path(line.attempts(job)[0].folder) / "log.txt"
    before = image_count(log)
    doomed_postgres.stop()
    time.sleep(3 * LEASE_SECONDS)
    assert image_count(log) > before
    doomed_postgres.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    line.wait_for_all(waiting)
    assert (line.task(job).lease_epoch, line.task(job).lost_leases) == (1, 0)
    assert [line.task(one).lease_epoch for one in waiting] == [1] * 5


def image_count(log: Path) -> int:
    """How far the device process says it has come, whatever the database knows."""
    return int(re.findall(r"checkpoint at (\d+) images", log.read_text(encoding="utf-8"))[-1])


def test_row_17_connections_that_are_cut_again_and_again_cost_no_job(
    doomed_line: RoughLine, doomed_postgres: Postgres
) -> None:
    line, rounds = doomed_line, 60 if SLOW else 8
    jobs = [line.submit(line.training(images=40_000)), *line.submit_all([PingSpec()] * 100)]
    others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    for _ in range(rounds):
        doomed_postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        time.sleep(1.0 if SLOW else 0.4)
    line.wait_for_all(jobs)
    assert {line.job(job).state for job in jobs} == {State.SUCCEEDED}


def test_row_04_who_freezes_in_a_transaction_blocks_the_others_on_postgresql_for_a_while_at_most(
    postgres_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    flags = {"home": tmp_path, "database.url": postgres_url, "database.busy_timeout_seconds": 0.5}
    frozen = open_database(load_settings(flags=flags))
    request.addfinalizer(frozen.dispose)
    other = open_database(load_settings(flags=flags))
    request.addfinalizer(other.dispose)
    lease = rows.running(other, **NO_WORK)
    thawed = threading.Event()

    def freeze(session: Session) -> None:
        lock_job(session, lease.job_id)
        heartbeat(session, lease, None, 0)
        thawed.wait(10.0)  # SIGSTOP, or a host that lost its power and says no goodbye

    results = rows.run_all(partial(frozen.transact, freeze), partial(free_after, other, lease, thawed))
    assert isinstance(results[0], DatabaseUnreachable)
    assert results[1] < 5.0


def free_after(database: Database, lease: Lease, thawed: threading.Event) -> float:
    """Seconds until the task's row can be written; then the frozen one awakes."""

    def can_write() -> bool:
        try:
            act(database, heartbeat, lease, None, 0)
        except DatabaseUnreachable:
            return False
        return True

    time.sleep(0.2)  # the other one freezes first
    try:
        return seconds_until(can_write, timeout=20.0)
    finally:
        thawed.set()


@pytest.fixture
def cutter(postgres_url: str) -> Iterator[CommitCutter]:
    """A relay to a PostgreSQL database of this test's own."""
    with tempfile.TemporaryDirectory(prefix="pixmill-", dir="/tmp") as folder:
        relay = CommitCutter(Path(folder), make_url(postgres_url))
        relay.start()
        yield relay
        relay.stop()


@pytest.fixture
def cut_database(cutter: CommitCutter, tmp_path: Path) -> Iterator[Database]:
    """The database as seen through the relay."""
    database = open_database(load_settings(flags={"home": tmp_path, "database.url": cutter.url}))
    yield database
    database.dispose()


def _checkpoint(lease: Lease) -> Callable[[Any], Any]:
    return lambda session: publish_checkpoint(session, lease, rows.checkpoint(lease, 64))


ENDS: dict[str, tuple[Callable[[Lease], Callable[[Any], Any]], State]] = {
    "heartbeat": (lambda lease: lambda session: heartbeat(session, lease, None, 0), State.RUNNING),
    "checkpoint": (_checkpoint, State.RUNNING),
    "shard": (lambda lease: lambda session: publish_shard(session, lease, rows.shard(lease, 0)), State.RUNNING),
    "succeeded": (
        lambda lease: lambda session: finish(session, lease, Outcome.SUCCEEDED, publish=rows.nothing),
        State.SUCCEEDED,
    ),
    "failed": (
        lambda lease: lambda session: finish(session, lease, Outcome.FAILED, reason=FailureReason.USER_ERROR),
        State.FAILED,
    ),
    "cancelled": (lambda lease: lambda session: finish(session, lease, Outcome.CANCELLED), State.CANCELLED),
    "given back": (lambda lease: lambda session: give_back(session, lease), State.PENDING),
    "lost": (lambda lease: lambda session: lose(session, lease, "gone", max_lost_leases=3), State.PENDING),
}


@pytest.mark.parametrize("name", ENDS)
def test_row_18_what_was_committed_without_an_answer_is_done_once_when_done_again(
    cut_database: Database, cutter: CommitCutter, name: str
) -> None:
    make, state = ENDS[name]
    lease = rows.running(cut_database, **NO_WORK)
    publish = make(lease)
    cutter.cut_next()
    with pytest.raises(DatabaseUnreachable):
        cut_database.transact(publish)
    once = remembered(cut_database, lease)
    cut_database.transact(publish)
    assert cutter.cuts == 1
    assert rows.task(cut_database, lease.task_id).state is state
    assert remembered(cut_database, lease) == once
    assert check_history(read_history(cut_database)) == []


def test_row_18_a_submit_without_an_answer_is_found_again_by_its_key(
    cut_database: Database, cutter: CommitCutter, tmp_path: Path
) -> None:
    settings = load_settings(flags={"home": tmp_path, "broker.url": f"redis+socket://{tmp_path}/none"})
    ask = partial(submit, cut_database, settings, PingSpec(), JobOptions(key="once"), user="ann")
    cutter.cut_next()
    with pytest.raises(DatabaseUnreachable):
        ask()
    found = ask()
    assert not found.is_new
    assert rows.job(cut_database, found.job_id).key == "once"


def test_row_18_a_claim_without_an_answer_is_found_again_and_blocks_no_other(
    cut_database: Database, cutter: CommitCutter
) -> None:
    first, second = rows.add(cut_database), rows.add(cut_database)
    rows.queue(cut_database)
    worker = rows.add_worker(cut_database)
    cutter.cut_next()
    with pytest.raises(DatabaseUnreachable):
        rows.try_claim(cut_database, worker)
    assert rows.claimed(cut_database, rows.add_worker(cut_database, host="other")).job_id == second
    lease = act(cut_database, unanswered_claim, worker, ())
    assert lease is not None
    assert (lease.job_id, lease.epoch) == (first, 1)
    act(cut_database, finish, lease, Outcome.SUCCEEDED, publish=rows.nothing)
    assert rows.states(cut_database, first) == [State.SUCCEEDED]


def test_row_18_an_end_whose_answer_is_lost_keeps_what_was_claimed_with_it(
    cut_database: Database, cutter: CommitCutter
) -> None:
    first, second, third = (rows.add(cut_database) for _ in range(3))
    worker = rows.add_worker(cut_database)
    lease = rows.claimed(cut_database, worker)

    def finish_and_go_on(session: Session) -> Lease | None:
        finish(session, lease, Outcome.SUCCEEDED, publish=rows.nothing)
        held = unanswered_claim(session, worker, ())
        return held or claim(session, worker, None, rows.folder, patient=False)

    cutter.cut_next()
    with pytest.raises(DatabaseUnreachable):
        cut_database.transact(finish_and_go_on)
    following = cut_database.transact(finish_and_go_on)
    assert following is not None
    assert (lease.job_id, following.job_id, following.epoch) == (first, second, 1)
    assert rows.states(cut_database, third) == [State.PENDING]


def remembered(database: Database, lease: Lease) -> tuple[int, ...]:
    """How many events, attempts, checkpoints and shards there are."""
    with database.read() as session:
        return tuple(len(session.scalars(select(table.id)).all()) for table in (Event, Attempt, Checkpoint, Shard))


def test_row_18_a_worker_that_loses_every_fourth_answer_makes_everything_once(
    rough_postgresql: RoughLine, standing_cutter: CommitCutter
) -> None:
    line, model = rough_postgresql, digits_model(rough_postgresql)
    before = standing_cutter.cuts
    job = line.submit(small_generate(model, n=600, shard_size=100))
    line.wait_for(lambda: line.shards(job), job)
    standing_cutter.cut_every(4)
    line.wait_for(lambda: line.job(job).state.is_terminal, job)
    standing_cutter.cut_every(0)
    assert line.job(job).state is State.SUCCEEDED, line.story(job)
    assert standing_cutter.cuts - before >= 1
    assert [shard.number for shard in line.shards(job)] == list(range(6))
    assert [task.lease_epoch for task in line.tasks(job)] == [1, 1]


def test_row_18_short_tasks_lose_no_lease_to_lost_answers(
    rough_postgresql: RoughLine, standing_cutter: CommitCutter
) -> None:
    line = rough_postgresql
    before = standing_cutter.cuts
    standing_cutter.cut_every(5)
    jobs = line.submit_all([PingSpec()] * 30)
    line.wait_for_all(jobs)
    standing_cutter.cut_every(0)
    assert standing_cutter.cuts - before >= 5
    assert [(line.task(job).lease_epoch, line.task(job).lost_leases) for job in jobs] == [(1, 0)] * 30


def test_row_19_a_locked_sqlite_is_waited_for_and_then_named_and_nobody_is_taken_for_dead(
    rough_sqlite: RoughLine,
) -> None:
    line, job = rough_sqlite, rough_sqlite.submit(rough_sqlite.training(images=40_000))
    line.wait_for_training(job)
    log = line.path(line.attempts(job)[0].folder) / "log.txt"
    late: list[int] = []
    patient = threading.Thread(target=lambda: late.append(line.submit(PingSpec())))
    with locked(line.database):
        before = image_count(log)
        patient.start()
        with pytest.raises(DatabaseUnreachable, match="locked") as caught:
            impatient_submit(line)
        assert "held by another process" in str(caught.value.hint)
        time.sleep(60.0 if SLOW else 2.5 * LEASE_SECONDS)
        assert image_count(log) > before
    patient.join()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    line.wait_for_all(late)
    assert (line.task(job).lease_epoch, line.task(job).lost_leases) == (1, 0)


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """While this lasts, nobody else can write."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        yield
        connection.exec_driver_sql("ROLLBACK")


def impatient_submit(line: RoughLine) -> None:
    database = line.impatient_database(0.2)
    try:
        submit(database, line.settings, PingSpec(), JobOptions(), user="tester")
    finally:
        database.dispose()


def test_row_24_two_schedulers_queue_and_start_every_task_once(rough_line: RoughLine) -> None:
    line = rough_line
    line.start_second_scheduler()
    jobs = line.submit_all([PingSpec()] * 60)
    line.wait_for_all(jobs)
    tasks = [line.task(job) for job in jobs]
    assert {task.state for task in tasks} == {State.SUCCEEDED}
    assert {task.lease_epoch for task in tasks} == {1}
    assert {task.dispatch_seq for task in tasks} <= {0, 1}


RACES = 1000 if SLOW else 100


def test_row_26_of_many_cancels_against_the_end_each_has_one_winner(database: Database) -> None:
    race = Race(database, running_jobs(database, RACES))
    errors = [error for error in rows.run_all(race.end_all, race.cancel_all) if error is not None]
    assert errors == []
    with database.read() as session:
        found = {task.id: task for task in session.scalars(select(Task))}
    for lease, outcome in zip(race.leases, race.outcomes, strict=True):
        assert found[lease.task_id].state is State(outcome.value)
        assert (found[lease.task_id].result is not None) is (outcome is Outcome.SUCCEEDED)
    # A cancel that was refused came too late; one that was taken may still have lost the race.
    assert all(taken or outcome is Outcome.SUCCEEDED for taken, outcome in zip(race.taken, race.outcomes, strict=True))
    wins = race.outcomes.count(Outcome.SUCCEEDED)
    assert RACES // 50 < wins < RACES - RACES // 50
    assert check_history(read_history(database), at_rest=True) == []


class Race:
    """A worker that ends one task after the other, and a person who cancels each at about that moment."""

    def __init__(self, database: Database, leases: list[Lease]) -> None:
        self.leases = leases
        self.outcomes: list[Outcome] = []
        self.taken: list[bool] = []
        self._database = database
        self._start = threading.Barrier(2)
        self._random = seeded("row 26")
        self._seconds = 0.0  # that the worker took for the last one

    def end_all(self) -> None:
        """What a worker does: look for orders, then publish and end, or end without."""
        for lease in self.leases:
            self._start.wait(60.0)
            time.sleep(self._random.uniform(0.0, self._seconds))
            started = time.monotonic()
            orders = act(self._database, heartbeat, lease, None, 0)
            outcome = Outcome.CANCELLED if orders.cancel else Outcome.SUCCEEDED
            act(self._database, finish, lease, outcome, publish=None if orders.cancel else publish_a_result)
            self.outcomes.append(outcome)
            self._seconds = time.monotonic() - started

    def cancel_all(self) -> None:
        """What a person does."""
        for lease in self.leases:
            self._start.wait(60.0)
            time.sleep(self._random.uniform(0.0, self._seconds))
            try:
                act(self._database, cancel_job, lease.job_id, actor="ann")
            except InvalidMove:
                self.taken.append(False)
            else:
                self.taken.append(True)


def running_jobs(database: Database, count: int) -> list[Lease]:
    """Jobs of one task that a worker has claimed."""
    worker = rows.add_worker(database)
    jobs = [rows.new_job(**NO_WORK) for _ in range(count)]
    act(database, add_jobs, jobs)
    rows.queue(database, count)
    found = database.transact(lambda session: [claim(session, worker, None, rows.folder) for _ in range(count)])
    leases = [lease for lease in found if lease is not None]
    assert len(leases) == count
    return leases


def publish_a_result(_session: Session) -> dict[str, Any]:
    return {"published": True}


def test_row_26_a_cancel_at_any_moment_of_a_job_ends_it_within_two_seconds(either_line: RoughLine) -> None:
    line, random = either_line, seeded("row 26, processes")
    model = digits_model(line)
    line.wait_for_all(line.submit_all([line.training()] * 2))  # both workers have imported what they need
    for number in range(60 if SLOW else 3):
        spec = small_generate(model, seed=number, n=600) if number % 2 else line.training(images=36_000, seed=number)
        job = line.submit(spec)
        time.sleep(random.uniform(0.0, 1.0))
        try:
            line.database.transact(partial(cancel_job, job_id=job, actor="ann"))
        except InvalidMove:
            assert line.job(job).state is State.SUCCEEDED
            continue
        assert seconds_until(lambda: line.job(job).state.is_terminal) < 2.0  # noqa: B023  called at once
        assert line.job(job).state in {State.CANCELLED, State.SUCCEEDED}


def test_row_31_a_newer_schema_is_refused_at_the_start_and_does_not_stop_what_runs(either_line: RoughLine) -> None:
    line = either_line
    running = line.submit(line.training(images=24_000))
    line.wait_for_training(running)
    set_revision(line.database, "9999")
    try:
        for words in (["worker", "start", "--device", "cpu:7"], ["scheduler", "run"]):
            done = pixmill(line.settings, *words)
            assert done.returncode == 78, done.stderr
            assert "upgrade pixmill on this host" in done.stderr
        line.run(PingSpec())
        assert line.wait(running) is State.SUCCEEDED, line.story(running)
    finally:
        set_revision(line.database, HEAD)


def set_revision(database: Database, revision: str) -> None:
    with database.write() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision})


def pixmill(settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command of this home to its end."""
    variables = {
        "PIXMILL_HOME": str(settings.home),
        "PIXMILL_DATABASE_URL": settings.database_url,
        "PIXMILL_BROKER_URL": settings.broker_url,
    }
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=REPOSITORY,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=30.0,
    )

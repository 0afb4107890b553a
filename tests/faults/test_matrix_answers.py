"""Row 18 of the fault matrix: a commit that goes through, and whose answer is lost."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, select
from sqlalchemy.orm import Session

from db.claims import unanswered_claims
from db.engine import Database, open_database
from db.handfuls import Success, claim_alike, succeed, succeed_all
from db.leases import Lease, finish, give_back, heartbeat, lose, publish_checkpoint, publish_shard
from db.tables.jobs import Attempt, Event, Outcome, Role
from db.tables.published import Checkpoint, Shard
from pixmill.errors import DatabaseUnreachable, LeaseLost
from pixmill.settings import load_settings
from pixmill.specs import JobOptions, PingSpec
from pixmill.states import FailureReason, State
from scheduler.submit import submit
from tests import rows
from tests.faults.checker import check_history
from tests.faults.cutter import CommitCutter
from tests.faults.history import read_history
from tests.faults.rough import NO_WORK, RoughLine
from tests.rows import act
from tests.worker.conftest import digits_model, small_generate


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
    (lease,) = act(cut_database, unanswered_claims, worker, ())
    assert (lease.job_id, lease.epoch) == (first, 1)
    act(cut_database, finish, lease, Outcome.SUCCEEDED, publish=rows.nothing)
    assert rows.states(cut_database, first) == [State.SUCCEEDED]


def test_row_18_an_end_whose_answer_is_lost_keeps_what_was_claimed_with_it(
    cut_database: Database, cutter: CommitCutter
) -> None:
    *jobs, last = (rows.add(cut_database, **NO_WORK) for _ in range(7))
    worker = rows.add_worker(cut_database)
    held = act(cut_database, claim_alike, worker, Role.PING, 3, rows.folder)
    successes = [Success(lease=lease, done=1, result={}) for lease in held]

    def end_and_go_on(session: Session) -> list[Lease]:
        succeed_all(session, successes)
        return claim_alike(session, worker, Role.PING, 3, rows.folder, patient=False)

    cutter.cut_next()
    with pytest.raises(DatabaseUnreachable):
        cut_database.transact(end_and_go_on)
    with pytest.raises(LeaseLost):  # they have ended: each says so by itself
        cut_database.transact(end_and_go_on)
    for success in successes:
        act(cut_database, succeed, success)
    found = act(cut_database, unanswered_claims, worker, ())
    assert [lease.job_id for lease in held] == jobs[:3]
    assert [(lease.job_id, lease.epoch) for lease in found] == [(job, 1) for job in jobs[3:]]
    assert rows.states(cut_database, last) == [State.PENDING]
    assert check_history(read_history(cut_database)) == []


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
    assert {task.lease_epoch for task in line.tasks(job)} == {1}


def test_row_18_short_tasks_lose_no_lease_to_lost_answers(
    rough_postgresql: RoughLine, standing_cutter: CommitCutter
) -> None:
    line = rough_postgresql
    before, jobs = standing_cutter.cuts, list[int]()
    standing_cutter.cut_every(5)
    while standing_cutter.cuts - before < 5:  # a handful is few commits
        jobs += line.submit_all([PingSpec()] * 50)
        line.wait_for_all(jobs)
    standing_cutter.cut_every(0)
    tasks = [line.task(job) for job in jobs]
    assert {(task.lease_epoch - task.preemptions, task.lost_leases) for task in tasks} == {(1, 0)}

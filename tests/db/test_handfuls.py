"""Several tasks in one go leave the rows that each of them by itself would have left."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from db.claims import claim
from db.control import cancel_job, hold_job, retry_job
from db.engine import Database, open_database
from db.handfuls import Success, claim_alike, succeed, succeed_all
from db.jobs import NewTask
from db.leases import Lease, finish, give_back, lose
from db.moves import lock_job
from db.queues import pause_queue
from db.statements import send_each
from db.tables.fleet import DeviceKind, Worker
from db.tables.jobs import Attempt, Event, Job, Outcome, Queue, Role, Task
from pixmill.errors import LeaseLost
from pixmill.settings import load_settings
from pixmill.states import FailureReason, State
from tests import rows
from tests.rows import act

TRAIN = Role.TRAIN


def handful(database: Database, worker: Worker, count: int = 10, role: Role = TRAIN) -> list[Lease]:
    return act(database, claim_alike, worker, role, count, rows.folder)


def jobs_of(leases: list[Lease]) -> list[int]:
    return [lease.job_id for lease in leases]


def success(lease: Lease, **changes: Any) -> Success:
    return Success(**{"lease": lease, "done": 7, "result": {"job": lease.job_id}, **changes})


def story(database: Database, job_id: int) -> list[Any]:
    """All that the rows of a job say, but for ids and times, of which only whether there are any."""

    def told(row: Any) -> dict[str, Any]:
        names = (column.key for column in row.__table__.columns)
        values = {name: getattr(row, name) for name in names if not name.endswith("id") and name not in ("rank", "key")}
        return {
            name: value is not None if name.endswith("_at") or name in ("at", "folder") else value
            for name, value in values.items()
        }

    with database.read() as session:
        of_job = select(Task.id).where(Task.job_id == job_id)
        found = [
            *session.scalars(select(Job).where(Job.id == job_id)),
            *session.scalars(select(Task).where(Task.job_id == job_id)),
            *session.scalars(select(Attempt).where(Attempt.task_id.in_(of_job))),
            *session.scalars(select(Event).where(Event.job_id == job_id).order_by(Event.id)),
        ]
        return [told(row) for row in found]


def test_claimed_together_or_alone_the_rows_are_the_same(database: Database) -> None:
    alone, *together = (rows.add(database) for _ in range(4))
    worker = rows.add_worker(database)
    by_itself = rows.claimed(database, worker)
    leases = handful(database, worker)
    assert (by_itself.job_id, jobs_of(leases)) == (alone, together)
    assert [story(database, job) for job in together] == [story(database, alone)] * 3
    like_it = [(lease.folder, lease.epoch) for lease in leases]
    assert like_it == [(rows.folder(lease.job_id, lease.task_id, 1), 1) for lease in leases]


def test_ended_together_or_alone_the_rows_are_the_same(database: Database) -> None:
    for _ in range(4):
        rows.add(database)
    alone, *together = handful(database, rows.add_worker(database))
    act(database, finish, alone, Outcome.SUCCEEDED, done=7, result={"a": 1})
    act(database, succeed_all, [success(lease, result={"a": 1}) for lease in together])
    assert [story(database, job) for job in jobs_of(together)] == [story(database, alone.job_id)] * 3
    assert rows.job(database, alone.job_id).state is State.SUCCEEDED


def test_the_best_come_first_those_that_were_called_before_all_others(database: Database) -> None:
    called = rows.add(database)
    rows.queue(database)
    late, best = rows.add(database), rows.add(database, priority=5)
    assert jobs_of(handful(database, rows.add_worker(database))) == [called, best, late]


def test_no_more_are_claimed_than_were_asked_for(database: Database) -> None:
    jobs = [rows.add(database) for _ in range(4)]
    rows.queue(database, count=2)
    worker = rows.add_worker(database)
    assert jobs_of(handful(database, worker, count=3)) == jobs[:3]
    assert jobs_of(handful(database, worker, count=1)) == jobs[3:]
    assert handful(database, worker) == []


def test_a_task_of_another_role_is_neither_passed_over_nor_taken_along(database: Database) -> None:
    first = rows.add(database)
    other = rows.add(database, kind="generate", tasks=(NewTask(role=Role.GENERATE, params={}),))
    last = rows.add(database)
    worker = rows.add_worker(database)
    assert jobs_of(handful(database, worker)) == [first]
    assert jobs_of(handful(database, worker)) == [other]
    assert jobs_of(handful(database, worker)) == [last]


def test_a_task_that_has_run_before_is_held_alone(database: Database) -> None:
    worker = rows.add_worker(database)
    for _ in range(3):
        rows.add(database)
    lost, returned, _failed = leases = handful(database, worker)
    act(database, lose, lost, "signal 9", max_lost_leases=3)
    act(database, give_back, returned)
    act(database, finish, leases[2], Outcome.FAILED, reason=FailureReason.USER_ERROR)
    act(database, retry_job, leases[2].job_id, actor="ann")
    assert [jobs_of(handful(database, worker)) for _ in leases] == [[lease.job_id] for lease in leases]


@pytest.mark.parametrize("limit", ["max_running", "max_running_per_user"])
def test_a_queue_with_a_limit_gives_one_at_a_time_and_no_more_than_it_may(database: Database, limit: str) -> None:
    jobs = [rows.add(database) for _ in range(3)]
    with database.write() as session:
        session.execute(update(Queue).values({limit: 2}))
    worker = rows.add_worker(database)
    assert [jobs_of(handful(database, worker)) for _ in jobs] == [jobs[:1], jobs[1:2], []]


def _pause(database: Database, _job: int) -> None:
    act(database, pause_queue, "default", actor="ann", why="maintenance")


HINDRANCES: dict[str, Callable[[Database, int], object]] = {
    "held": lambda database, job: act(database, hold_job, job, actor="ann"),
    "cancelled": lambda database, job: act(database, cancel_job, job, actor="ann"),
    "paused": _pause,
}


@pytest.mark.parametrize("hindrance", HINDRANCES)
@pytest.mark.parametrize("is_called", [False, True])
def test_what_may_not_start_is_not_claimed(database: Database, hindrance: str, is_called: bool) -> None:
    kept = rows.add(database)
    others = [] if hindrance == "paused" else [rows.add(database), rows.add(database)]
    if is_called:
        rows.queue(database)
    HINDRANCES[hindrance](database, kept)
    assert jobs_of(handful(database, rows.add_worker(database))) == others


def test_another_kind_of_device_and_a_draining_worker_get_nothing(database: Database) -> None:
    rows.add(database, device_kind=DeviceKind.CUDA)
    rows.add(database, device_kind=DeviceKind.CUDA)
    assert handful(database, rows.add_worker(database)) == []
    gpu = rows.add_worker(database, DeviceKind.CUDA)
    with database.write() as session:
        session.execute(update(Worker).where(Worker.id == gpu.id).values(draining=True))
    assert handful(database, gpu) == []


def test_many_workers_at_the_same_moment_claim_each_task_once(database: Database) -> None:
    jobs = {rows.add(database) for _ in range(24)}
    rows.queue(database, count=4)
    workers = [rows.add_worker(database, host=f"host{number}") for number in range(4)]
    claimed: list[int] = []
    while len(claimed) < len(jobs):
        got = rows.run_all(*[partial(handful, database, worker, 5) for worker in workers])
        assert not [problem for problem in got if isinstance(problem, BaseException)]
        claimed += [job for leases in got for job in jobs_of(leases)]
    assert sorted(claimed) == sorted(jobs)
    assert {rows.task(database, task.id).lease_epoch for job in jobs for task in rows.tasks(database, job)} == {1}


def test_what_somebody_else_has_locked_is_passed_over(postgres_url: str, tmp_path: Path) -> None:
    database = open_database(load_settings(flags={"home": tmp_path, "database.url": postgres_url}))
    locked, free, last = (rows.add(database) for _ in range(3))
    worker = rows.add_worker(database)
    with database.write() as other:
        lock_job(other, locked)
        assert jobs_of(handful(database, worker)) == [free, last]
        assert act(database, claim, worker, None, rows.folder, patient=False) is None
    assert jobs_of(handful(database, worker)) == [locked]
    database.dispose()


@pytest.mark.parametrize("how", ["lost", "ended before"])
def test_one_that_is_no_longer_held_keeps_all_from_ending_together(database: Database, how: str) -> None:
    for _ in range(3):
        rows.add(database)
    leases = handful(database, rows.add_worker(database))
    if how == "lost":
        act(database, lose, leases[1], "signal 9", max_lost_leases=3)
    else:
        act(database, succeed, success(leases[1]))
    before = [story(database, job) for job in jobs_of(leases)]
    with pytest.raises(LeaseLost):
        act(database, succeed_all, [success(lease) for lease in leases])
    assert [story(database, job) for job in jobs_of(leases)] == before
    for lease in (leases[0], leases[2]):
        act(database, succeed, success(lease))
    assert [rows.job(database, lease.job_id).state for lease in (leases[0], leases[2])] == [State.SUCCEEDED] * 2


def test_tasks_of_one_job_and_those_that_publish_end_by_their_own_rules(database: Database) -> None:
    pair = rows.add(database, kind="generate", tasks=rows.TWO_TASKS)
    brings = rows.add(database, kind="generate", tasks=(NewTask(role=Role.GENERATE, params={}),))
    leases = handful(database, rows.add_worker(database), role=Role.GENERATE)
    assert jobs_of(leases) == [pair, pair, brings]
    published = success(leases[2], result=None, publish=lambda _session: {"made": "here"})
    act(database, succeed_all, [success(leases[0]), published, success(leases[1])])
    assert rows.job(database, pair).state is State.SUCCEEDED
    assert rows.states(database, pair) == [State.SUCCEEDED] * 2
    (task,) = rows.tasks(database, brings)
    assert (task.state, task.result) == (State.SUCCEEDED, {"made": "here"})


def test_what_waited_for_them_may_start(database: Database) -> None:
    parents = [rows.add(database), rows.add(database)]
    worker = rows.add_worker(database)
    leases = handful(database, worker)
    child = rows.add(database, parents=dict.fromkeys(parents, False))
    assert handful(database, worker) == []
    act(database, succeed_all, [success(lease) for lease in leases])
    assert jobs_of(handful(database, worker)) == [child]


def test_a_job_that_is_to_be_cancelled_and_was_faster_has_succeeded(database: Database) -> None:
    rows.add(database)
    rows.add(database)
    leases = handful(database, rows.add_worker(database))
    act(database, cancel_job, leases[0].job_id, actor="ann")
    act(database, succeed_all, [success(lease) for lease in leases])
    assert [rows.job(database, job).state for job in jobs_of(leases)] == [State.SUCCEEDED] * 2


def test_nothing_at_all_is_no_statement(database: Database) -> None:
    act(database, succeed_all, [])
    assert database.transact(lambda session: send_each(session, select(Job.id), [])) == 0

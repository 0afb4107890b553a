"""A worker holds short tasks by the handful, and nobody has to notice: none is lost, doubled or kept waiting."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from sqlalchemy import Select, func, select

from db.tables.jobs import Attempt, Event, Job, Outcome, Task
from pixmill.specs import JobOptions, PingSpec
from pixmill.states import ACTIVE, State
from scheduler.groups import Group
from scheduler.submit import submit_groups, submit_many
from tests.waiting import wait_until
from tests.worker.line import JOB_SECONDS, Line
from worker.parent.holding import NOT_BEGUN


def submit_pings(line: Line, count: int) -> range:
    """Submit so many at once; the ids of the jobs."""
    submit_many(line.database, line.settings, [(PingSpec(), JobOptions())] * count, user="tester")
    with line.database.read() as session:
        last = session.scalar(select(func.max(Job.id))) or 0
    return range(last - count + 1, last + 1)


def wait_for_all(line: Line, jobs: range) -> None:
    of_jobs = (Job.id >= jobs[0], Job.id <= jobs[-1])
    wait_until(lambda: not counted(line, select(func.count()).where(*of_jobs, Job.state.in_(ACTIVE))), JOB_SECONDS)
    assert counted(line, select(func.count()).where(*of_jobs, Job.state == State.SUCCEEDED)) == len(jobs), line.log(
        "worker"
    )


def counted(line: Line, statement: "Select[int]") -> int:
    with line.database.read() as session:
        return session.scalar(statement) or 0


def running(line: Line) -> int:
    return counted(line, select(func.count()).where(Task.state == State.RUNNING))


def held_at_most(line: Line, jobs: range) -> int:
    """How many tasks were running at the same time, as the events tell it."""
    with line.database.read() as session:
        of_tasks = (Event.job_id >= jobs[0], Event.job_id <= jobs[-1], Event.task_id.is_not(None))
        moves = session.execute(select(Event.from_state, Event.to_state).where(*of_tasks).order_by(Event.id)).all()
    held = most = 0
    for source, target in moves:
        held += (target == State.RUNNING) - (source == State.RUNNING)
        most = max(most, held)
    return most


def outcomes(line: Line, jobs: range) -> list[Outcome | None]:
    of_jobs = (Task.job_id >= jobs[0], Task.job_id <= jobs[-1])
    with line.database.read() as session:
        return list(session.scalars(select(Attempt.outcome).join(Task, Task.id == Attempt.task_id).where(*of_jobs)))


def given_back(line: Line, jobs: range) -> int:
    of_jobs = (Event.job_id >= jobs[0], Event.job_id <= jobs[-1], Event.detail == NOT_BEGUN)
    return counted(line, select(func.count()).where(*of_jobs))


def test_of_an_array_with_a_limit_no_handful_is_held(line: Line) -> None:
    pings = [(PingSpec(seed=index), JobOptions()) for index in range(12)]
    array = Group(requests=pings, indices=range(12), limit=1)
    done = submit_groups(line.database, line.settings, [array], user="tester")
    jobs = range(done[0].job_id, done[-1].job_id + 1)
    wait_for_all(line, jobs)
    assert held_at_most(line, jobs) == 1


def test_short_tasks_are_held_together_and_each_runs_once(line: Line) -> None:
    jobs = submit_pings(line, 200)
    wait_for_all(line, jobs)
    told = outcomes(line, jobs)
    assert told.count(Outcome.SUCCEEDED) == 200
    assert len(told) == 200 + given_back(line, jobs)  # as on a machine that stands still for a while
    assert held_at_most(line, jobs) > 1
    assert running(line) == 0


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_what_waits_behind_a_task_that_takes_longer_is_given_back(line: Line) -> None:
    jobs = submit_pings(line, 1000)
    wait_until(lambda: held_at_most(line, jobs) > 1)
    while not given_back(line, jobs):  # a handful may just have come to its end
        with stopped(line.device_process):
            wait_until(lambda: running(line) <= 1)
        assert any(rows_waiting(line, jobs)), "the jobs have ended before a handful was caught"
    wait_for_all(line, jobs)
    told = outcomes(line, jobs)
    assert told.count(Outcome.SUCCEEDED) == 1000
    assert len(told) - 1000 == told.count(Outcome.PREEMPTED) == given_back(line, jobs)


def rows_waiting(line: Line, jobs: range) -> list[int]:
    of_jobs = (Task.job_id >= jobs[0], Task.job_id <= jobs[-1], Task.state == State.PENDING)
    with line.database.read() as session:
        return list(session.scalars(select(Task.id).where(*of_jobs).limit(1)))


def test_a_device_process_that_dies_takes_down_no_more_than_what_it_ran(line: Line) -> None:
    jobs = submit_pings(line, 600)
    wait_until(lambda: held_at_most(line, jobs) > 1)
    line.device_process.kill()
    wait_for_all(line, jobs)
    told = outcomes(line, jobs)
    assert told.count(Outcome.SUCCEEDED) == 600
    assert told.count(Outcome.LOST) <= 1
    assert len(told) == 600 + told.count(Outcome.LOST) + told.count(Outcome.PREEMPTED)


def test_a_worker_that_is_told_to_stop_stores_what_it_has_and_keeps_nothing(sqlite_line: Line) -> None:
    line = sqlite_line
    jobs = submit_pings(line, 600)
    wait_until(lambda: held_at_most(line, jobs) > 1)
    assert line.terminate_worker() == 0
    assert running(line) == 0
    told = outcomes(line, jobs)
    assert set(told) <= {Outcome.SUCCEEDED, Outcome.PREEMPTED}
    line.start()
    wait_for_all(line, jobs)
    assert outcomes(line, jobs).count(Outcome.SUCCEEDED) == 600


def test_a_worker_that_is_killed_costs_its_handful_a_lease_and_nothing_more(sqlite_line: Line) -> None:
    line = sqlite_line
    jobs = submit_pings(line, 600)
    wait_until(lambda: held_at_most(line, jobs) > 1)
    line.kill_worker()
    left = running(line)
    line.start()
    wait_for_all(line, jobs)
    told = outcomes(line, jobs)
    assert (told.count(Outcome.SUCCEEDED), told.count(Outcome.LOST)) == (600, left)

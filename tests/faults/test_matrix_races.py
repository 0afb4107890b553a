"""Row 26 of the fault matrix: a cancel at any moment, up to the very end."""

import threading
import time
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.claims import claim
from db.control import cancel_job
from db.engine import Database
from db.jobs import add_jobs
from db.leases import Lease, finish, heartbeat
from db.tables.jobs import Outcome, Task
from pixmill.errors import InvalidMove
from pixmill.states import State
from tests import rows
from tests.faults.checker import check_history
from tests.faults.history import read_history
from tests.faults.rough import NO_WORK, SLOW, RoughLine, seconds_until, seeded
from tests.rows import act
from tests.worker.conftest import digits_model, small_generate

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

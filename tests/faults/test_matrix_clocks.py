"""Row 23 of the fault matrix: clocks that are wrong or jump. No decision of the product asks a host's clock.

Processes judge silence on their own monotonic clock, and read the time from the database. What is shifted here is
the clock as the processes see it (`time.time`); the database's own clock is shifted by moving what it wrote down.
"""

import time
from datetime import timedelta

import pytest

from db.engine import Database
from db.tables.jobs import Task
from pixmill.sections import SchedulerSettings
from pixmill.settings import Settings
from pixmill.specs import PingSpec
from pixmill.states import State
from scheduler.broker import WakeUpSender
from scheduler.messages import make_celery
from scheduler.tick import Ticker
from tests import rows
from tests.faults.rough import LEASE_SECONDS, RoughLine

TEN_MINUTES = 600.0
SHIFTS = [(TEN_MINUTES, -TEN_MINUTES), (-TEN_MINUTES, TEN_MINUTES)]


def test_row_23_clocks_that_jump_apart_by_twenty_minutes_expire_no_lease(either_line: RoughLine) -> None:
    line, job = either_line, either_line.submit(either_line.training(images=60_000))
    line.wait_for_training(job)
    try:
        for of_scheduler, of_worker in SHIFTS:
            shift(line, of_scheduler, of_worker)
            jumped_at = time.monotonic()
            line.wait_for(lambda: time.monotonic() - jumped_at > 1.5 * LEASE_SECONDS, job)  # noqa: B023  called at once
        assert line.wait(job) is State.SUCCEEDED, line.story(job)
        line.run(PingSpec(), retries=1)
    finally:
        shift(line, 0.0, 0.0)
    assert (line.task(job).lease_epoch, line.task(job).lost_leases) == (1, 0)


def shift(line: RoughLine, of_scheduler: float, of_worker: float) -> None:
    """Set the clocks of the processes off by so many seconds."""
    for name, seconds in (("scheduler", of_scheduler), ("worker", of_worker)):
        line.hooks[name].order(*line.with_children(name), seconds=seconds)


@pytest.mark.parametrize("seconds", [TEN_MINUTES, -TEN_MINUTES])
def test_row_23_a_jump_of_the_databases_clock_does_not_keep_a_lost_wake_up_back(
    database: Database, settings: Settings, seconds: float
) -> None:
    rows.add(database)
    rows.add_worker(database)
    ticker = Ticker(database, WakeUpSender(make_celery(settings), settings), SchedulerSettings(redispatch_seconds=60.0))
    assert ticker.tick() == 1
    with database.write() as session:  # the clock jumped after this was written
        for task in session.query(Task):
            assert task.dispatched_at is not None
            task.dispatched_at -= timedelta(seconds=seconds)
    assert ticker.tick() == 1

"""Schedules that run a pipeline: the run is the unit, for overlaps as for the history."""

from datetime import datetime
from typing import Any

import pytest

from db.aliases import promote
from db.engine import Database
from db.pipelines import view_runs
from db.schedules import get_schedule, run_lines
from db.tables.pipelines import PipelineRun
from pixmill.errors import Conflict
from pixmill.schedules import Overlap
from scheduler.timetable import run_now
from tests.rows import act
from tests.scheduler.desk import DEED, Desk
from tests.scheduler.nights import NAME, PipelineNights
from tests.scheduler.runs import pings

BEGIN = "2026-10-24T12:00+02:00"
TOLD = {"kind": "ping", "name": "night-${run.date}", "labels": {"at": "${run.scheduled_for}"}}


class Pings(PipelineNights):
    """A schedule whose document is a pipeline of two pings."""

    def __init__(self, database: Database, **terms: Any) -> None:
        steps = {"one": TOLD, "two": {**TOLD, "after": ["one"]}}
        super().__init__(database, BEGIN, {**pings(), "steps": steps}, **terms)

    def night(self, end: str) -> int:
        """Sleep, and look; gives how many runs have begun."""
        self.sleep_until(end)
        return self.look()

    def runs_of_pipeline(self) -> list[PipelineRun]:
        with self.database.read() as session:
            return [view.run for view in view_runs(session, 100)[::-1]]

    def history(self) -> list[tuple[str, str | None]]:
        """(outcome, state of the run) of each time, the oldest first."""
        with self.database.read() as session:
            lines = run_lines(session, get_schedule(session, NAME).id, limit=100)
        return [(line.run.outcome.value, line.pipeline.state.value if line.pipeline else None) for line in lines[::-1]]


def test_the_logical_time_reaches_every_step_and_a_time_has_one_run(database: Database) -> None:
    nights = Pings(database)
    assert nights.night("2026-10-25T04:00+01:00") == 1
    assert nights.night("2026-10-25T04:00+01:00") == 0
    (run,) = nights.runs_of_pipeline()
    assert run.scheduled_for == datetime.fromisoformat("2026-10-25T02:30+02:00")
    nights.pipelines.through(run.id, "one", "two")
    job = nights.pipelines.job(run.id, "two")
    assert (job.name, job.labels["at"]) == ("night-2026-10-25", "2026-10-25T02:30:00+02:00")
    assert {key: job.labels[key] for key in ("schedule", "scheduled_for", "pipeline", "run")} == {
        "schedule": NAME,
        "scheduled_for": "2026-10-25T02:30:00+02:00",
        "pipeline": "pings",
        "run": str(run.id),
    }
    assert nights.history() == [("submitted", "succeeded")]


def test_a_run_that_goes_on_lets_the_next_time_pass(database: Database) -> None:
    nights = Pings(database)
    nights.night("2026-10-25T04:00+01:00")
    nights.pipelines.through(1, "one")
    assert nights.night("2026-10-26T04:00+01:00") == 0, "step two has not ended"
    assert nights.runs[1].message == "pipeline run 1 of an earlier run has not ended"
    nights.pipelines.through(1, "two")
    assert nights.night("2026-10-27T04:00+01:00") == 1
    assert nights.history() == [("submitted", "succeeded"), ("skipped", None), ("submitted", "running")]


def test_runs_of_a_queue_begin_one_after_the_other(database: Database) -> None:
    nights = Pings(database, overlap=Overlap.QUEUE)
    nights.night("2026-10-25T04:00+01:00")
    nights.night("2026-10-26T04:00+01:00")
    assert nights.pipelines.story(2) == {"one": "waiting", "two": "waiting"}
    Desk(database, None).trained("digits")  # type: ignore[arg-type]
    act(database, promote, "digits@1", "champion", DEED)
    nights.pipelines.through(1, "one", "two")
    nights.pipelines.look()
    assert nights.pipelines.story(2) == {"one": "submitted", "two": "waiting"}
    assert [run.facts["champions"] for run in nights.runs_of_pipeline()] == [{}, {"digits": 1}]


def test_a_run_may_cancel_the_previous_one(database: Database) -> None:
    nights = Pings(database, overlap=Overlap.CANCEL_PREVIOUS)
    nights.night("2026-10-25T04:00+01:00")
    nights.night("2026-10-26T04:00+01:00")
    first, second = nights.runs_of_pipeline()
    assert (first.state.value, second.state.value) == ("cancelled", "running")
    assert nights.pipelines.job(1, "one").message == "the run of 2026-10-26T02:30:00+01:00 takes over"
    assert nights.pipelines.story(2)["one"] == "submitted"


def test_a_run_by_hand_is_outside_of_the_plan(database: Database) -> None:
    nights = Pings(database)
    assert act(database, run_now, NAME, nights.at, actor="bob", outputs=None).run_id == 1
    with pytest.raises(Conflict, match="pipeline run 1 of an earlier run has not ended"):
        act(database, run_now, NAME, nights.at, actor="bob", outputs=None)
    assert nights.history() == [("submitted", "running")]
    assert (nights.runs[0].by_hand, nights.runs_of_pipeline()[0].user_name) == ("bob", "ann")

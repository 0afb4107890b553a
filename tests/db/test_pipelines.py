"""Rows of pipelines: one run for each time of a schedule, whose steps keep their order."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.aliases import freeze, promote
from db.engine import Database
from db.pipelines import known_document, places_of_jobs, view_runs
from db.tables.pipelines import PipelineRun
from db.tables.schedules import Schedule
from db.versions import forget_version
from pixmill.errors import Conflict, NotFound
from pixmill.pipelines import parse_pipeline
from tests.rows import act
from tests.scheduler.desk import DEED, Desk
from tests.scheduler.runs import NIGHT, Runs, pings

TERMS: dict[str, Any] = {"cron": "x", "zone": "UTC", "document": {}, "overlap": "skip", "catchup": "latest"}
TERMS |= {"deadline_seconds": 1.0, "jitter_seconds": 0.0, "blackouts": [], "user_name": "ann"}
AT = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)


def row(**changes: Any) -> PipelineRun:
    values: dict[str, Any] = {"name": "night", "document": {}, "params": {}, "facts": {}, "state": "running"}
    return PipelineRun(**{**values, "scheduled_for": AT, "user_name": "ann", **changes})


def test_a_time_of_a_schedule_has_one_run_and_outside_of_schedules_there_are_any(database: Database) -> None:
    with database.write() as session:
        session.add(Schedule(name="nightly", **TERMS))
        session.flush()
        session.add_all([row(), row(), row(schedule_id=1)])
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(row(schedule_id=1))
    with database.write() as session:
        session.execute(text("DELETE FROM schedules"))
    with database.read() as session:
        assert [view.run.schedule_id for view in view_runs(session, 10)] == [None] * 3


def test_a_pipeline_is_known_by_its_name_once_it_has_run(database: Database) -> None:
    runs = Runs(database)
    runs.begin(pings(one={}))
    runs.begin(pings(zebra={}, ant={}))
    with database.read() as session:
        assert [step["step"] for step in known_document(session, "pings")["steps"]] == ["zebra", "ant"]
        with pytest.raises(NotFound) as caught:
            known_document(session, "pigns")
    assert caught.value.hint == "did you mean 'pings'?"


def test_a_job_knows_its_run_and_step(database: Database) -> None:
    runs = Runs(database)
    run_id = runs.begin(pings(one={}, two={"after": ["one"]}))
    runs.look()
    runs.through(run_id, "one")
    with database.read() as session:
        places = places_of_jobs(session, [1, 2, 3])
    assert {job: (place.run.id, place.step, place.number) for job, place in places.items()} == {
        1: (run_id, "one", 0),
        2: (run_id, "two", 1),
    }


def test_a_version_that_a_run_still_needs_is_not_removed(database: Database) -> None:
    runs = Runs(database)
    run_id = runs.begin({**NIGHT, "steps": {"train": NIGHT["steps"]["train"], "gate": {"kind": "ping"}}})
    runs.look()
    runs.through(run_id, "train")
    with pytest.raises(Conflict, match=f"step train of pipeline run {run_id} has it"):
        act(database, forget_version, "digits@1", DEED)
    act(database, freeze, "digits", DEED)
    with pytest.raises(Conflict, match="frozen"):
        act(database, promote, "digits@1", "champion", DEED)
    runs.through(run_id, "gate")
    act(database, forget_version, "digits@1", DEED)


def test_versions_that_runs_and_schedules_of_pipelines_name_are_not_removed(database: Database) -> None:
    runs, desk = Runs(database), Desk(database, None)  # type: ignore[arg-type]
    for number in range(1, 6):
        desk.trained("digits")
        act(database, promote, f"digits@{number}", "champion", DEED)
        if number == 1:
            make = {"kind": "generate", "model": "${champion.digits}", "n": 1, "after": ["one"]}
            run_id = runs.begin({**NIGHT, "steps": {"one": {"kind": "ping"}, "two": make}})
            runs.look()
    with database.write() as session:
        document = parse_pipeline({**NIGHT, "steps": {"one": {**make, "model": "digits@2", "after": []}}}).stored()
        session.add(Schedule(name="nightly", **{**TERMS, "document": document}))
    for version, told in ((1, f"pipeline run {run_id} names it"), (2, "schedule nightly names it")):
        with pytest.raises(Conflict, match=told):
            act(database, forget_version, f"digits@{version}", DEED)
    act(database, forget_version, "digits@3", DEED)
    runs.through(run_id, "one")
    assert runs.job(run_id, "two").spec["model"] == "digits@1"

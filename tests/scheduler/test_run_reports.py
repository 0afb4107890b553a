"""The step that writes the page of its run: when it begins, what it leaves, and what the page is made from."""

from typing import Any

import pytest
from sqlalchemy import select

from db.aliases import promote
from db.engine import Database
from db.runfacts import run_facts
from db.tables.jobs import Outcome
from db.tables.told import Notification
from pixmill.errors import NotFound
from pixmill.runfacts import RunFacts
from pixmill.specs import ReportSpec
from pixmill.states import FailureReason, PipelineState
from scheduler.pipelineacts import cancel_run, retry_run
from tests.rows import act
from tests.scheduler.desk import DEED, Desk
from tests.scheduler.runs import NIGHT, Runs, pings

PAGE = "reports/pipelines/night/run-1.html"
REPORTED: dict[str, Any] = {**NIGHT, "steps": {"page": {"kind": "report"}, **NIGHT["steps"]}}


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


def facts(runs: Runs, run_id: int) -> RunFacts:
    """As a device process gets them."""
    with runs.database.read() as session:
        found = run_facts(session, run_id)
    assert RunFacts.model_validate_json(found.model_dump_json()) == found
    return RunFacts.model_validate(found.model_dump(mode="json"))


def ended(runs: Runs, run_id: int) -> dict[str, Any]:
    """What operators are told of the end."""
    with runs.database.read() as session:
        told = select(Notification.facts).where(Notification.kind == "pipeline.ended")
        found: dict[str, Any] = session.scalars(told.order_by(Notification.id.desc()).limit(1)).one()
    assert found["run_id"] == run_id
    return found


def test_the_page_is_written_when_all_other_steps_are_over(runs: Runs) -> None:
    run_id = runs.judged(document=REPORTED)
    assert runs.story(run_id)["page"] == "waiting"
    runs.through(run_id, "bulk")
    page = runs.job(run_id, "page")
    assert (page.kind, page.spec["run"], page.labels["step"]) == ("report", run_id, "page")
    known = facts(runs, run_id)
    assert (known.state, known.reason) == (PipelineState.SUCCEEDED, None)  # but for this page
    assert known.finished_at is not None
    assert runs.state(run_id) == "running"
    runs.end(run_id, "page", {"page": PAGE})
    runs.look()
    assert runs.state(run_id) == "succeeded"
    assert runs.step(run_id, "page").values == {"job": page.id, "page": PAGE}
    assert ended(runs, run_id)["page"] == PAGE


@pytest.mark.parametrize(
    ("outcome", "result", "state"),
    [
        (Outcome.FAILED, None, PipelineState.FAILED),
        (Outcome.SUCCEEDED, {"skipped": {"reason": "NoNewData", "detail": "as before"}}, PipelineState.SKIPPED),
    ],
)
def test_it_is_written_of_a_night_that_came_to_nothing(
    runs: Runs, outcome: Outcome, result: dict[str, Any] | None, state: PipelineState
) -> None:
    run_id = runs.begin(REPORTED)
    runs.look()
    runs.end(run_id, "train", result, outcome)
    runs.look()
    known = facts(runs, run_id)
    assert known.state is state
    assert known.message is not None
    assert known.message.startswith("step train: ")
    runs.end(run_id, "page", {"page": PAGE})
    runs.look()
    assert (runs.state(run_id), ended(runs, run_id)["page"]) == (state.value, PAGE)
    assert facts(runs, run_id).message == known.message == runs.view(run_id).run.message


def test_a_retry_writes_it_anew(runs: Runs, database: Database) -> None:
    run_id = runs.begin(pings(one={}, two={"after": ["one"]}, page={"kind": "report"}))
    runs.look()
    runs.end(run_id, "one", outcome=Outcome.FAILED)
    runs.look()
    first = runs.job(run_id, "page").id
    runs.end(run_id, "page", {"page": PAGE})
    runs.look()
    assert act(database, retry_run, run_id, actor="ann") == ["one"]
    assert runs.story(run_id) == {"one": "submitted", "two": "waiting", "page": "waiting"}
    runs.look()
    runs.through(run_id, "one", "two")
    assert runs.job(run_id, "page").id > first
    runs.end(run_id, "page", outcome=Outcome.FAILED)
    runs.look()
    assert (runs.state(run_id), runs.view(run_id).run.message) == ("failed", "step page: UserError: it went wrong")
    second = runs.job(run_id, "page").id
    assert act(database, retry_run, run_id, actor="ann") == ["page"]
    runs.end(run_id, "page", {"page": PAGE})
    runs.look()
    assert (runs.state(run_id), runs.job(run_id, "page").id) == ("succeeded", second)


def test_a_page_that_failed_behind_a_step_that_failed_waits_for_its_retry(runs: Runs, database: Database) -> None:
    run_id = runs.begin(pings(one={}, page={"kind": "report"}))
    runs.look()
    for name in ("one", "page"):
        runs.end(run_id, name, outcome=Outcome.FAILED)
        runs.look()
    act(database, retry_run, run_id, actor="ann")
    assert runs.story(run_id) == {"one": "submitted", "page": "waiting"}


def test_a_cancelled_run_writes_none(runs: Runs, database: Database) -> None:
    run_id = runs.begin(pings(one={}, page={"kind": "report"}))
    act(database, cancel_run, run_id, actor="ann", why="wrong data")
    assert runs.story(run_id) == {"one": "cancelled", "page": "cancelled"}
    known = facts(runs, run_id)
    assert (known.state, known.message) == (PipelineState.CANCELLED, "step one: wrong data")


def test_the_facts_of_a_night(runs: Runs, database: Database) -> None:
    first = runs.judged()
    runs.through(first, "bulk")
    run_id = runs.begin(REPORTED)
    assert facts(runs, run_id).state is PipelineState.RUNNING
    runs.look()
    runs.through(run_id, "train", "make", "judge")
    runs.end(run_id, "gate", {"verdict": "HOLD", "gates": []})
    runs.look()
    known = facts(runs, run_id)
    (line,) = known.lines
    assert line.before is not None
    assert (line.name, line.before.reference, line.now) == ("digits", "digits@1", 1)
    (train,) = known.of_kind("train")
    assert train.job is not None
    assert train.job.made is not None
    assert (train.job.made.reference, train.job.made.metric_name) == ("digits@2", line.before.metric_name)
    assert len(train.job.folders) == train.job.attempts == 1
    (gate,) = known.of_kind("gate")
    assert gate.job is not None
    assert (gate.values["verdict"], gate.job.spec["against"]) == ("HOLD", "digits@1")
    assert [step.name for step in known.own_steps] == [*NIGHT["steps"]]
    assert known.schedule is None
    act(database, promote, "digits@2", "champion", DEED)
    known = facts(runs, run_id)
    assert known.lines[0].now == 2
    assert [notice.text for notice in known.notices if "digits: champion is 2" in notice.text]


def test_a_run_that_is_not_there_has_no_page(desk: Desk) -> None:
    with pytest.raises(NotFound, match="there is no pipeline run 9"), desk.database.read() as session:
        run_facts(session, 9)
    with pytest.raises(NotFound, match="there is no pipeline run 9"):
        desk.submit(ReportSpec(run=9))


def test_the_job_of_a_step_that_failed_is_told_of(runs: Runs) -> None:
    run_id = runs.begin(pings(one={}, page={"kind": "report"}))
    runs.look()
    runs.end(run_id, "one", outcome=Outcome.FAILED)
    runs.look()
    known = facts(runs, run_id)
    assert [notice.text.partition(" (")[0] for notice in known.notices] == [f"job {runs.job(run_id, 'one').id}"]
    assert known.steps[0].why == f"{FailureReason.USER_ERROR.value}: it went wrong"

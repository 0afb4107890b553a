"""What becomes of the steps of a run; two schedulers look at each of them at once."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from db.aliases import freeze, model_events, promote, roll_back
from db.control import cancel_job, retry_job
from db.engine import Database
from db.pipelines import active_runs
from db.registry import get_model, resolve_model
from db.tables.jobs import Event, Job, Outcome
from db.tables.models import ModelVersion
from db.tables.pipelines import PipelineRun
from db.tables.told import Notification
from pixmill.errors import CorruptRow, InvalidMove, NotFound
from pixmill.notifications import told
from pixmill.states import PipelineState, State
from scheduler.pipelineacts import cancel_run, retry_run
from scheduler.pipelines import Conductor, make_move, next_move
from tests import rows
from tests.rows import act
from tests.scheduler.desk import DEED, Desk
from tests.scheduler.runs import LOGICAL, NIGHT, Runs, pings

SKIPPED = {"skipped": {"reason": "NoNewData", "detail": "the data set is that of digits@3"}}


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


def champion(database: Database) -> int:
    with database.read() as session:
        found = resolve_model(session, "digits@champion")
    assert isinstance(found, ModelVersion)
    return found.version


def test_a_whole_night_from_training_to_the_last_image(runs: Runs, database: Database) -> None:
    run_id = runs.judged()
    assert runs.story(run_id) == {
        "train": "succeeded",
        "make": "succeeded",
        "judge": "succeeded",
        "gate": "succeeded",
        "promote": "succeeded",
        "bulk": "submitted",
    }
    assert champion(database) == 1
    make = runs.job(run_id, "make")
    assert (make.spec["model"], make.name, make.user_name) == ("digits@1", "night-2026-11-22", "ann")
    assert make.labels == {"pipeline": "night", "run": str(run_id), "step": "make"}
    assert runs.job(run_id, "train").spec["images"] == 1000
    assert runs.job(run_id, "judge").spec["output"] == make.id
    assert rows.tasks(database, runs.job(run_id, "judge").id)[0].retries == 5
    assert runs.step(run_id, "promote").values == {
        "model": "digits@1",
        "promoted": True,
        "reason": f"the verdict of run {run_id} is PROMOTE",
    }
    with database.read() as session:
        (event, *_) = model_events(session, get_model(session, "digits").id)
        notes = session.scalars(select(Event.detail).where(Event.action == "submit", Event.job_id == make.id)).all()
    assert (event.actor, event.evidence) == (
        "pipeline night",
        {
            "pipeline_run": run_id,
            "day": "2026-11-22",
            "job": runs.job(run_id, "gate").id,
            "verdict": "PROMOTE",
            "model": "digits@1",
            "gates": [{"measure": "kid"}],
        },
    )
    assert notes == [f"step make of pipeline run {run_id}"]
    runs.through(run_id, "bulk")
    assert runs.state(run_id) == "succeeded"
    assert (runs.jobs(), runs.look()) == (5, 0)


def test_each_night_begins_with_the_champion_as_soon_as_there_is_one(runs: Runs, database: Database) -> None:
    again = {**NIGHT["steps"]["train"], "start_from": "${champion.digits}", "skip_unchanged": True}
    document = {**NIGHT, "steps": {**NIGHT["steps"], "train": again}}
    found = []
    for night, verdict in enumerate(("PROMOTE", "HOLD", "PROMOTE")):
        run_id = runs.judged(verdict, document=document, logical=LOGICAL + timedelta(days=night))
        if verdict == "PROMOTE":
            runs.through(run_id, "bulk")
        specs = runs.job(run_id, "train").spec, runs.job(run_id, "gate").spec
        found.append((specs[0].get("start_from"), specs[1].get("against"), champion(database)))
    assert found == [(None, None, 1), ("digits@1", "digits@1", 1), ("digits@1", "digits@1", 3)]
    gate = runs.step(run_id, "gate").values
    assert (gate["verdict"], gate["model"], gate["against"]) == ("PROMOTE", "digits@3", "digits@1")
    last = runs.begin(document, logical=LOGICAL + timedelta(days=3))
    runs.look()
    assert runs.job(last, "train").spec["start_from"] == "digits@3"
    runs.end(last, "train", SKIPPED)
    runs.look()
    with database.read() as session:
        rows_told = session.scalars(select(Notification).where(Notification.kind == "pipeline.ended"))
        lines = [told(row.kind, row.subject, row.facts) for row in rows_told.all()]
    assert lines == [
        "pipeline night: run 1 succeeded: PROMOTE: the verdict of run 1 is PROMOTE",
        "pipeline night: run 2 succeeded: HOLD: the verdict of step gate is HOLD",
        "pipeline night: run 3 succeeded: PROMOTE: the verdict of run 3 is PROMOTE",
        "pipeline night: run 4 skipped: step train: NoNewData: the data set is that of digits@3",
    ]


def test_a_verdict_on_another_version_promotes_nothing(runs: Runs, database: Database) -> None:
    Desk.trained(Desk(database, None), "digits")  # type: ignore[arg-type]
    steps = {**NIGHT["steps"], "promote": {**NIGHT["steps"]["promote"], "model": "digits@1"}}
    run_id = runs.judged(document={**NIGHT, "steps": steps})
    values = {"model": "digits@1", "promoted": False, "reason": "step gate has judged digits@2"}
    assert runs.step(run_id, "promote").values == values


@pytest.mark.parametrize(
    ("verdict", "auto", "reason"),
    [
        ("HOLD", True, "the verdict of step gate is HOLD"),
        ("REJECT", True, "the verdict of step gate is REJECT"),
        ("PROMOTE", False, "auto is off; an operator may promote: pixmill model promote digits@1 --expect 0"),
    ],
)
def test_a_night_that_promotes_nothing_is_no_failure(
    runs: Runs, database: Database, verdict: str, auto: bool, reason: str
) -> None:
    run_id = runs.judged(verdict, auto=auto)
    values = runs.step(run_id, "promote").values
    assert (values["promoted"], reason in values["reason"]) == (False, True)
    assert runs.story(run_id)["bulk"] == "skipped Condition"
    assert (runs.state(run_id), runs.view(run_id).run.message) == ("succeeded", None)
    with pytest.raises(NotFound):
        champion(database)


def test_a_gate_without_a_verdict_promotes_nothing(runs: Runs) -> None:
    run_id = runs.begin()
    runs.look()
    runs.through(run_id, "train", "make", "judge", "gate")
    assert runs.step(run_id, "promote").values["reason"] == "step gate has left no verdict"


def test_a_frozen_model_keeps_its_champion(runs: Runs, database: Database) -> None:
    Desk.trained(Desk(database, None), "digits")  # type: ignore[arg-type]
    act(database, promote, "digits@1", "champion", DEED)
    act(database, freeze, "digits", DEED)
    run_id = runs.judged()
    assert runs.step(run_id, "promote").values["reason"] == "model digits is frozen: tried"
    assert (champion(database), runs.state(run_id)) == (1, "succeeded")


def test_a_champion_that_moved_since_the_run_began_stays(runs: Runs, database: Database) -> None:
    desk = Desk(database, None)  # type: ignore[arg-type]
    desk.trained("digits")
    desk.trained("digits")
    act(database, promote, "digits@1", "champion", DEED)
    run_id = runs.begin()
    runs.look()
    act(database, promote, "digits@2", "champion", DEED)
    runs.through(run_id, "train", "make", "judge")
    runs.end(run_id, "gate", {"verdict": "PROMOTE"})
    runs.look()
    assert "expected was for digits@1: the alias has moved meanwhile" in runs.step(run_id, "promote").values["reason"]
    assert (champion(database), runs.state(run_id)) == (2, "succeeded")


def test_one_automatic_promotion_a_day(runs: Runs, database: Database) -> None:
    runs.judged()
    second = runs.judged(logical=LOGICAL + timedelta(hours=3))
    assert runs.step(second, "promote").values["reason"] == (
        "pipeline night has promoted digits@1 for 2026-11-22; one automatic promotion a day is allowed"
    )
    act(database, promote, "digits@2", "champion", DEED)
    act(database, roll_back, "digits", DEED)
    third = runs.judged(logical=LOGICAL + timedelta(days=1))
    assert runs.step(third, "promote").values["promoted"] is True
    assert champion(database) == 3


def test_a_job_without_anything_to_do_ends_the_run_as_skipped(runs: Runs) -> None:
    run_id = runs.begin()
    runs.look()
    runs.end(run_id, "train", SKIPPED)
    runs.look()
    assert [*runs.story(run_id).values()] == ["skipped NoNewData", *["skipped Dependency"] * 5]
    run = runs.view(run_id).run
    assert (run.state, run.reason) == (PipelineState.SKIPPED, "NoNewData")
    assert run.message == "step train: NoNewData: the data set is that of digits@3"
    assert runs.jobs() == 1
    with pytest.raises(InvalidMove, match=f"pipeline run {run_id} has been skipped"):
        act(runs.database, retry_run, run_id, actor="ann")


def test_a_failure_keeps_the_champion_and_is_tried_again_from_there(runs: Runs, database: Database) -> None:
    run_id = runs.begin()
    runs.look()
    runs.through(run_id, "train")
    runs.end(run_id, "make", outcome=Outcome.FAILED)
    runs.look()
    assert [*runs.story(run_id).values()][:3] == ["succeeded", "failed UserError", "skipped Dependency"]
    run = runs.view(run_id).run
    assert (run.state, run.message) == (PipelineState.FAILED, "step make: UserError: it went wrong")
    failed, trained = runs.job(run_id, "make").id, runs.job(run_id, "train").id
    assert act(database, retry_run, run_id, actor="ann", why="disk was full") == ["make"]
    assert runs.look() == 0
    runs.through(run_id, "make", "judge")
    runs.end(run_id, "gate", {"verdict": "PROMOTE"})
    runs.look()
    runs.through(run_id, "bulk")
    assert runs.state(run_id) == "succeeded"
    assert (runs.job(run_id, "make").id, runs.job(run_id, "train").id) == (failed, trained)
    assert (runs.jobs(), champion(database)) == (5, 1)
    with pytest.raises(InvalidMove, match="only what failed or was cancelled"):
        act(database, retry_run, run_id, actor="ann")


def test_a_job_that_an_operator_has_tried_again_by_itself_counts(runs: Runs, database: Database) -> None:
    run_id = runs.begin(pings(one={}, two={"after": ["one"]}))
    runs.look()
    runs.end(run_id, "one", outcome=Outcome.FAILED)
    runs.look()
    act(database, retry_job, runs.job(run_id, "one").id, actor="ann")
    runs.end(run_id, "one")
    act(database, retry_run, run_id, actor="ann")
    runs.look()
    assert runs.story(run_id) == {"one": "succeeded", "two": "submitted"}


def test_what_can_run_at_once_does_and_any_outcome_will_do_for_some(runs: Runs) -> None:
    report = {"after": ["left", "right"], "after_policy": "any"}
    document = pings(first={}, left={"after": ["first"]}, right={"after": ["first"]}, report=report)
    run_id = runs.begin(document)
    assert runs.look() == 1
    runs.end(run_id, "first")
    assert runs.look() == 2
    runs.end(run_id, "right", outcome=Outcome.FAILED)
    assert runs.look() == 0
    runs.end(run_id, "left")
    assert runs.look() == 1
    runs.through(run_id, "report")
    assert runs.story(run_id)["report"] == "succeeded"
    assert runs.state(run_id) == "failed"


def test_a_value_that_a_failed_step_did_not_leave_skips_what_needs_it(runs: Runs) -> None:
    steps: dict[str, Any] = {
        "train": NIGHT["steps"]["train"],
        "make": {"kind": "generate", "model": "${train.model}", "n": 10, "after_policy": "any"},
        "told": {"kind": "ping", "after_policy": "any", "when": "${train.state} == failed"},
    }
    run_id = runs.begin({**NIGHT, "steps": steps})
    runs.look()
    runs.end(run_id, "train", outcome=Outcome.FAILED)
    runs.look()
    assert runs.story(run_id) == {"train": "failed UserError", "make": "skipped Dependency", "told": "submitted"}
    assert runs.step(run_id, "make").message == "${train.model}: step train has left no model"


def test_a_step_that_cannot_be_submitted_any_more_fails(runs: Runs, database: Database) -> None:
    Desk.trained(Desk(database, None), "faces")  # type: ignore[arg-type]
    document = {**NIGHT, "steps": {"one": {"kind": "ping"}, "two": {"kind": "generate", "model": "faces", "n": 1}}}
    document["steps"]["two"]["after"] = ["one"]
    run_id = runs.begin(document)
    runs.look()
    with database.write() as session:
        session.execute(ModelVersion.__table__.delete())  # type: ignore[attr-defined]
    runs.through(run_id, "one")
    assert runs.story(run_id)["two"] == "failed NotFound"
    assert "there is no model 'faces'" in str(runs.step(run_id, "two").message)


def test_cancel_ends_what_has_begun_and_begins_nothing_more(runs: Runs, database: Database) -> None:
    run_id = runs.begin()
    runs.look()
    assert act(database, cancel_run, run_id, actor="ann", why="wrong data") is PipelineState.CANCELLED
    assert set(runs.story(run_id).values()) == {"cancelled"}
    assert (runs.job(run_id, "train").state, runs.job(run_id, "train").message) == (State.CANCELLED, "wrong data")
    with pytest.raises(InvalidMove, match="has already been cancelled"):
        act(database, cancel_run, run_id, actor="ann")
    act(database, retry_run, run_id, actor="ann")
    assert runs.story(run_id)["train"] == "submitted"
    runs.through(run_id, "train")
    assert runs.story(run_id)["make"] == "submitted"
    with pytest.raises(NotFound, match="no pipeline run 77"):
        act(database, cancel_run, 77, actor="ann")


def test_a_cancelled_run_ends_when_its_worker_has_heard_of_it(runs: Runs, database: Database) -> None:
    run_id = runs.begin(pings(one={}, two={"after": ["one"]}))
    runs.look()
    rows.queue(database)
    lease = rows.claimed(database, rows.add_worker(database))
    assert act(database, cancel_run, run_id, actor="ann") is PipelineState.RUNNING
    assert runs.look() == 0
    assert runs.story(run_id) == {"one": "submitted", "two": "cancelled"}
    runs._leases[lease.job_id] = lease
    runs.end(run_id, "one", outcome=Outcome.CANCELLED)
    runs.look()
    assert runs.state(run_id) == "cancelled"


def test_a_job_that_an_operator_cancels_cancels_the_run(runs: Runs, database: Database) -> None:
    run_id = runs.begin(pings(one={}, two={"after": ["one"]}))
    runs.look()
    act(database, cancel_job, runs.job(run_id, "one").id, actor="ann")
    runs.look()
    assert runs.story(run_id) == {"one": "cancelled", "two": "skipped Dependency"}
    assert runs.state(run_id) == "cancelled"


def test_a_scheduler_may_die_between_any_two_moves(runs: Runs, database: Database) -> None:
    """Each look is a new process that dies after its first commit."""
    run_id = runs.begin(
        pings(one={}, two={"after": ["one"]}, three={"after": ["one"]}, four={"after": ["two", "three"]})
    )
    moves = []
    while runs.state(run_id) == "running":
        for line in runs.view(run_id).lines:
            if line.step.state == "submitted" and line.job_state is State.PENDING:
                runs.end(run_id, line.step.name)
        move = database.transact(partial(make_move, run_id=run_id, outputs=None))
        assert move is not None
        moves.append(f"{move.deed} {move.line.step.name}" if move.line else move.deed)
    assert moves[:4] == ["begin one", "note one", "begin two", "note two"]
    assert len(moves) == len(set(moves)) == 9
    assert (runs.jobs(), database.transact(partial(make_move, run_id=run_id, outputs=None))) == (4, None)


def test_a_run_that_nobody_can_read_stops_no_other_one(
    runs: Runs, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    unknown, broken, sound = (runs.begin(pings(one={})) for _ in range(3))
    with database.write() as session:
        session.get_one(PipelineRun, unknown).document = {}
        session.get_one(PipelineRun, broken).facts = ["neither", "this"]  # type: ignore[assignment]
    conductor = Conductor(database, outputs=None)
    conductor.advance()
    conductor.advance()
    assert runs.story(unknown) == {"one": "failed SpecError"}
    with pytest.raises(CorruptRow):
        runs.story(broken)
    assert runs.story(sound) == {"one": "submitted"}
    lines = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert lines == [f"pipeline run {broken} cannot be read"], "not at every look"


def test_a_look_without_runs_asks_one_short_question(runs: Runs, database: Database) -> None:
    run_id = runs.begin(pings(one={}))
    runs.look()
    with database.read() as session:
        (view,) = active_runs(session)
        assert next_move(view) is None
    runs.through(run_id, "one")
    with database.read() as session:
        assert active_runs(session) == []
        assert session.scalar(select(func.count(Job.id))) == 1

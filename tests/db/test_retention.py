"""What keeps versions of models and training states, asked of rows, and asked again right before they go."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.aliases import Deed, freeze, model_events, promote, roll_back, set_alias
from db.checkpoints import CheckpointVerdict, forget_checkpoints, judge_checkpoints
from db.control import CheckpointChoice, retry_job
from db.engine import Database
from db.jobs import add_job
from db.leases import Lease, finish, publish_checkpoint, publish_shard
from db.outputs import forget_output
from db.retention import VersionVerdict, forget_versions, judge_versions
from db.tables.jobs import Event, Job, Outcome
from db.tables.models import Model, ModelEvent, ModelVersion
from db.tables.published import Checkpoint, CheckpointKind
from db.tables.schedules import Schedule
from db.versions import hold_versions
from pixmill.errors import NotFound
from pixmill.retention import Policy, parse_policy
from pixmill.schedules import Catchup, Overlap
from pixmill.states import FailureReason
from tests import rows
from tests.db.test_registry import trained
from tests.rows import act

ANN = Deed(actor="ann", reason="retention")
LAST = parse_policy("last=1")
HIGHER = frozenset({"accuracy"})
STATES = parse_policy("checkpoints=14d")


def judged(database: Database, policy: Policy = LAST) -> dict[str, VersionVerdict]:
    with database.read() as session:
        return {verdict.reference: verdict for verdict in judge_versions(session, policy, HIGHER)}


def reasons(database: Database, policy: Policy = LAST) -> dict[str, list[str]]:
    """Version → the sorts of reasons that keep it."""
    return {name: [need.sort for need in verdict.kept] for name, verdict in judged(database, policy).items()}


def forget(database: Database, policy: Policy = LAST, model: str = "digits") -> list[str]:
    """Forget whatever of a model may go; gives the versions."""
    with database.read() as session:
        ids = list(session.scalars(select(ModelVersion.id)))
    return [gone.reference for gone in act(database, forget_versions, model, ids, policy, HIGHER, ANN)]


def measured(database: Database, name: str | None, *values: float | None) -> None:
    """Versions of `digits` with these values of a metric."""
    for value in values:
        job_id = trained(database)
        changes: dict[str, Any] = {"metric_name": name, "metric_value": value}
        with database.write() as session:
            session.execute(update(ModelVersion).where(ModelVersion.job_id == job_id).values(changes))


def test_the_newest_stays_whatever_the_rules_and_the_others_go_by_number(database: Database) -> None:
    for _ in range(4):
        trained(database)
    trained(database, "other")
    assert reasons(database) == {
        "digits@4": ["newest"],
        "digits@3": [],
        "digits@2": [],
        "digits@1": [],
        "other@1": ["newest"],
    }
    assert judged(database)["digits@2"].missed == (
        "no alias, job, output or schedule needs it",
        "2 are newer, the last 1 stay",
    )
    assert reasons(database, parse_policy("last=3"))["digits@2"] == ["last"]
    champions = judged(database, parse_policy("champions=30d"))["digits@2"]
    assert champions.missed[1:] == ("not the newest", "not champion within 30d")
    assert forget(database, parse_policy("last=3")) == ["digits@1"]
    assert forget(database, parse_policy("last=3")) == []
    assert list(judged(database)) == ["digits@4", "digits@3", "digits@2", "other@1"]
    with database.read() as session:
        (event,) = session.scalars(select(ModelEvent)).all()
    assert (event.action, event.from_version, event.actor, event.reason) == (
        "remove_version",
        1,
        "ann",
        "retention",
    )


@pytest.mark.parametrize(("metric", "kept"), [("kid@cnn-1", {3, 1}), ("accuracy", {2, 5})])
def test_the_best_stay_by_their_metric_whichever_way_is_better(database: Database, metric: str, kept: set[int]) -> None:
    measured(database, metric, 0.2, 0.9, 0.1, 0.5, 0.6)
    measured(database, None, None)
    trained(database)
    found = judged(database, parse_policy("best=2"))
    assert {name for name, verdict in found.items() if "best" in {need.sort for need in verdict.kept}} == {
        f"digits@{number}" for number in kept
    }
    assert "no metric of its own" in found["digits@6"].missed
    assert f"number 3 by {metric}, the best 2 stay" in found["digits@4"].missed


def test_what_was_measured_otherwise_is_ranked_apart(database: Database) -> None:
    measured(database, "kid@cnn-1", 0.1, 0.2)
    measured(database, "kid@cnn-2", 0.9, 0.8)
    trained(database)
    kept = {name for name, sorts in reasons(database, parse_policy("best=1")).items() if "best" in sorts}
    assert kept == {"digits@1", "digits@4"}


def test_aliases_recent_champions_and_frozen_models_stay(database: Database) -> None:
    for _ in range(5):
        trained(database)
    for number in (1, 2, 3):
        act(database, promote, f"digits@{number}", "champion", ANN)
    act(database, roll_back, "digits", ANN)  # 3 was champion, 2 is
    act(database, set_alias, "digits@4", "paper", ANN)
    month = parse_policy("last=1,champions=30d")
    assert reasons(database, month) == {
        "digits@5": ["newest"],
        "digits@4": ["alias"],
        "digits@3": ["alias", "champion"],
        "digits@2": ["alias", "champion"],
        "digits@1": ["champion"],
    }
    with database.write() as session:
        session.execute(update(ModelEvent).values(at=datetime.now(UTC) - timedelta(days=31)))
    assert reasons(database, month)["digits@1"] == []
    act(database, freeze, "digits", ANN)
    assert "frozen" in reasons(database, month)["digits@1"]
    assert forget(database, month) == []


def generate(database: Database, model: str, **spec: Any) -> int:
    return rows.add(database, kind="generate", spec={"kind": "generate", "model": model, **spec}, priority=1000)


def claimed(database: Database) -> Lease:
    rows.queue(database)
    return rows.claimed(database, rows.add_worker(database))


def test_what_jobs_outputs_shards_and_schedules_need_stays(database: Database) -> None:
    train = [trained(database) for _ in range(6)]
    made = generate(database, "digits@1")
    act(database, finish, claimed(database), Outcome.SUCCEEDED, publish=rows.nothing)
    half = generate(database, "other@1", further_models=[f"job:{train[1]}"])
    lease = claimed(database)
    act(database, publish_shard, lease, rows.shard(lease, 0))
    act(database, finish, lease, Outcome.FAILED, reason=FailureReason.USER_ERROR, message="no")
    waiting = generate(database, "other@1", filter_model="digits@3")
    queued = generate(database, "digits@4")
    assert claimed(database).job_id == waiting
    with database.write() as session:
        session.add(schedule("nightly", {"kind": "generate", "model": "digits@5", "n": 10}))
    found = judged(database)
    assert {name: [need.text for need in verdict.kept] for name, verdict in found.items()} == {
        "digits@6": ["digits without a number means it"],
        "digits@5": ["schedule nightly names it"],
        "digits@4": [f"generate job {queued} is queued"],
        "digits@3": [f"generate job {waiting} is running"],
        "digits@2": [f"shards of generate job {half}, which failed, were made with it"],
        "digits@1": [f"output {made} was made with it"],
    }
    assert not any(verdict.is_kept_by_rule for verdict in found.values())
    assert forget(database) == []
    act(database, forget_output, made, "/outputs/7", actor="ann", why=None)
    assert forget(database) == ["digits@1"]


def schedule(name: str, document: dict[str, Any]) -> Schedule:
    return Schedule(
        name=name,
        cron="0 2 * * *",
        zone="UTC",
        document=document,
        overlap=Overlap.SKIP,
        catchup=Catchup.LATEST,
        deadline_seconds=60.0,
        jitter_seconds=0.0,
        blackouts=[],
        user_name="ann",
        added_at=datetime.now(UTC),
    )


def test_what_came_to_be_needed_since_the_plan_stays(database: Database) -> None:
    for _ in range(5):
        trained(database)
    planned = [verdict.id for verdict in judged(database).values() if verdict.goes]
    assert len(planned) == 4
    act(database, promote, "digits@1", "champion", ANN)
    generate(database, "digits@2")
    gone = act(database, forget_versions, "digits", planned, LAST, HIGHER, ANN)
    assert [each.reference for each in gone] == ["digits@3", "digits@4"]
    with pytest.raises(NotFound):
        act(database, forget_versions, "nobody", planned, LAST, HIGHER, ANN)


def test_what_was_not_planned_stays_although_nothing_keeps_it(database: Database) -> None:
    for _ in range(3):
        trained(database)
    planned = [judged(database)["digits@1"].id]
    gone = act(database, forget_versions, "digits", planned, LAST, HIGHER, ANN)
    assert [each.reference for each in gone] == ["digits@1"]
    assert set(judged(database)) == {"digits@3", "digits@2"}


def test_a_submit_and_a_collection_at_once_leave_no_job_without_its_model(database: Database) -> None:
    for _ in range(2):
        trained(database)

    def submit(session: Session) -> int:
        hold_versions(session, ["digits@1"])
        return add_job(session, rows.new_job(kind="generate", spec={"kind": "generate", "model": "digits@1"}))

    gone, job = rows.run_all(partial(forget, database), partial(act, database, submit))
    assert isinstance(gone, list), gone
    assert (gone == ["digits@1"]) == isinstance(job, Exception)
    with database.read() as session:
        line = session.scalars(select(Model)).one()
        assert len(model_events(session, line.id)) == len(gone)


def test_two_collections_at_once_remove_each_version_once(database: Database) -> None:
    for _ in range(6):
        trained(database)
    found = rows.run_all(*[partial(forget, database)] * 3)
    assert sorted(name for gone in found for name in gone) == [f"digits@{number}" for number in range(1, 6)]
    with database.read() as session:
        assert len(session.scalars(select(ModelEvent)).all()) == 5


@pytest.fixture
def states(database: Database) -> Lease:
    """A running train task with two last states, the older of which is also the best."""
    lease = rows.running(database)
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 10))
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 10, kind=CheckpointKind.BEST, metric_value=0.1))
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 20))
    return lease


def judged_states(database: Database, policy: Policy = STATES) -> dict[int, CheckpointVerdict]:
    with database.read() as session:
        return {verdict.images_seen: verdict for verdict in judge_checkpoints(session, policy)}


def sorts(database: Database) -> dict[int, list[str]]:
    return {images: [need.sort for need in verdict.kept] for images, verdict in judged_states(database).items()}


def forget_states(database: Database, lease: Lease) -> list[str]:
    paths = {rows.checkpoint(lease, images).path for images in (10, 20)}
    return act(database, forget_checkpoints, [lease.job_id], paths, STATES, actor="ann")


def age(database: Database, lease: Lease, days: int) -> None:
    with database.write() as session:
        ended = datetime.now(UTC) - timedelta(days=days)
        session.execute(update(Job).where(Job.id == lease.job_id).values(finished_at=ended))


def test_states_of_jobs_that_have_succeeded_go_after_a_while(database: Database, states: Lease) -> None:
    assert sorts(database) == {10: ["job"], 20: ["job"]}
    act(database, finish, states, Outcome.SUCCEEDED, publish=rows.nothing)
    assert sorts(database) == {10: ["recent"], 20: ["recent"]}
    assert all(verdict.is_kept_by_rule for verdict in judged_states(database).values())
    assert forget_states(database, states) == []
    age(database, states, days=15)
    found = judged_states(database)[10]
    assert (found.kinds, found.missed) == (
        (CheckpointKind.BEST, CheckpointKind.LAST),
        (f"job {states.job_id} succeeded more than 14d ago",),
    )
    assert len(forget_states(database, states)) == 2
    with database.read() as session:
        assert session.scalars(select(Checkpoint)).all() == []
        (event,) = session.scalars(select(Event).where(Event.action == "forget_checkpoints")).all()
    assert event.job_id == states.job_id
    assert forget_states(database, states) == []


def test_states_that_a_retry_would_begin_with_stay(database: Database, states: Lease) -> None:
    act(database, finish, states, Outcome.FAILED, reason=FailureReason.USER_ERROR, message="no")
    age(database, states, days=400)
    assert sorts(database) == {10: ["retry", "retry"], 20: ["retry"]}
    assert forget_states(database, states) == []
    act(database, retry_job, states.job_id, actor="ann", start=CheckpointChoice.NONE)
    assert sorts(database) == {10: ["job"], 20: ["job"]}
    act(database, finish, claimed(database), Outcome.CANCELLED)
    age(database, states, days=400)
    assert sorts(database) == {10: ["retry"], 20: []}
    assert forget_states(database, states) == [rows.checkpoint(states, 20).path]
    act(database, retry_job, states.job_id, actor="ann", start=CheckpointChoice.BEST)


def test_a_retry_and_a_collection_at_once_leave_no_job_without_its_state(database: Database, states: Lease) -> None:
    act(database, finish, states, Outcome.FAILED, reason=FailureReason.USER_ERROR, message="no")
    age(database, states, days=400)
    gone, error = rows.run_all(
        partial(forget_states, database, states), partial(act, database, retry_job, states.job_id, actor="ann")
    )
    assert (gone, error) == ([], None)

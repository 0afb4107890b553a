"""Train jobs that begin with a version, at the moment of their submit."""

from typing import Any

import pytest

from db.aliases import promote
from db.datasets import NewDataset, register_dataset
from db.leases import finish, publish_checkpoint
from db.registry import add_version, ensure_dataset, resolve_model, training_state
from db.tables.jobs import Outcome, Role
from db.tables.models import ModelVersion
from db.tables.published import CheckpointKind
from db.versions import forget_version
from imagemodels.data import load_dataset
from pixmill.errors import Conflict, KeyConflict, NotFound, PixmillError, SpecError
from pixmill.lineage import DATA, PARENT, images_learnt
from pixmill.settings import Settings
from pixmill.specs import GenerateSpec, TrainSpec
from pixmill.states import State
from tests import rows
from tests.rows import act
from tests.scheduler.desk import DEED, Desk
from worker.parent.inputs import build_assignment
from worker.parent.publishing import publisher

SMALL: dict[str, Any] = {"width": 8, "latent_size": 8}
SPEC = TrainSpec(model="vae", dataset="digits", image_size=16, options=SMALL)
AGAIN = SPEC.model_copy(update={"start_from": "digits"})


def trained(desk: Desk, spec: TrainSpec = SPEC, *, name: str = "digits", states: int = 2, **version: Any) -> str:
    """Train as a worker does, with a checkpoint; `NAME@VERSION`."""
    job_id = desk.submit(spec, name=name, priority=1000).job_id
    rows.queue(desk.database)
    lease = rows.claimed(desk.database, rows.add_worker(desk.database))
    assert lease.job_id == job_id
    for kind in (CheckpointKind.BEST, CheckpointKind.LAST)[:states]:
        row = rows.checkpoint(lease, 1000, kind=kind, path=f"{lease.folder}/{kind.value}.pt")
        act(desk.database, publish_checkpoint, lease, row)
    values: dict[str, Any] = {"preset": spec.model, "classes": [], "folder": f"{lease.folder}/model", **version}

    def publish(session: Any) -> dict[str, Any]:
        dataset = ensure_dataset(session, "digits", "f" * 64, {"images": 1797, "histogram": {}})
        return {"model": add_version(session, name, rows.version(job_id, dataset, **values)).version}

    act(desk.database, finish, lease, Outcome.SUCCEEDED, publish=publish)
    with desk.database.read() as session:
        found = resolve_model(session, f"job:{job_id}")
        assert isinstance(found, ModelVersion)
        return f"{name}@{found.version}"


def refusal(desk: Desk, spec: TrainSpec, kind: type[PixmillError] = SpecError) -> str:
    count = desk.count()
    with pytest.raises(kind) as caught:
        desk.submit(spec)
    assert desk.count() == count
    assert "\n" not in caught.value.message
    return caught.value.message


def test_the_version_is_pinned_with_its_alias_and_gives_size_and_channels(desk: Desk) -> None:
    first = trained(desk)
    act(desk.database, promote, first, "champion", DEED)
    trained(desk)
    open_size = TrainSpec(model="vae", dataset="digits", options=SMALL, start_from="digits@champion")
    job = desk.job(open_size, key="night")
    assert [job.spec[key] for key in ("start_from", "image_size", "channels")] == ["digits@1", 16, 1]
    (task,) = rows.tasks(desk.database, job.id)
    assert task.params == {"aliases": {"digits@1": "champion"}}
    act(desk.database, promote, "digits@2", "champion", DEED)
    assert desk.job(open_size, key="night").id == job.id  # what it named then, also when the alias has moved
    with pytest.raises(KeyConflict, match="start_from"):
        desk.submit(SPEC, key="night")
    assert desk.job(AGAIN).spec["start_from"] == "digits@2"
    assert desk.job(TrainSpec(model="vae", dataset="digits", start_from="none")).spec["start_from"] is None


def test_specs_without_it_keep_their_digests(desk: Desk) -> None:
    assert TrainSpec(model="vae", dataset="digits").digest() == (
        TrainSpec(model="vae", dataset="digits", start_from="none").digest()
    )
    assert not {"start_from", "max_shrink"} & set(SPEC.model_dump(exclude_none=True))
    assert desk.job(SPEC, key="plain").spec["image_size"] == 16
    with pytest.raises(KeyConflict, match="image_size"):  # without a model that decides it, nothing is left to one
        desk.submit(SPEC.model_copy(update={"image_size": None}), key="plain")


def test_what_differs_is_named_in_one_line(desk: Desk) -> None:
    trained(desk, SPEC.model_copy(update={"conditional": True}), classes=["0", "1"])
    wrong = {"image_size": 32, "options": {"width": 16, "latent_size": 8}}
    assert refusal(desk, AGAIN.model_copy(update=wrong)) == (
        "training cannot begin with digits@1, whose networks are others: "
        "width 16, and not 8; image_size 32, and not 16; without classes, and not with classes"
    )
    other = TrainSpec(model="beta-vae", dataset="digits", start_from="digits")
    assert "preset beta-vae, and not vae" in refusal(desk, other)
    assert "has no alias 'champion'" in refusal(
        desk, AGAIN.model_copy(update={"start_from": "digits@champion"}), NotFound
    )


def test_the_classes_of_a_registered_data_set_are_known(desk: Desk) -> None:
    description = load_dataset("digits").describe()
    new = NewDataset(name="mine", source="digits", on_bad_image="fail", description=description, user_name="ann")
    act(desk.database, register_dataset, new)
    spec = SPEC.model_copy(update={"conditional": True})
    trained(desk, spec, classes=["3", "7"])
    asked = spec.model_copy(update={"start_from": "digits", "dataset": "mine"})
    assert "10 classes (0, 1, 2, 3, 4, …), and not 2 (3, 7)" in refusal(desk, asked)


def test_what_cannot_be_begun_with_is_refused(desk: Desk) -> None:
    trained(desk, states=0)
    assert refusal(desk, AGAIN, Conflict) == "model digits@1 has no training state to begin with"
    trained(desk, TrainSpec(model="forest", dataset="digits"), name="trees")
    assert "is a forest, which is grown anew" in refusal(
        desk, TrainSpec(model="forest", dataset="digits", start_from="trees")
    )
    job = desk.submit(SPEC, name="later").job_id
    waiting = desk.job(SPEC.model_copy(update={"start_from": f"job:{job}"}))
    assert (waiting.spec["start_from"], desk.parents(waiting.id)) == (f"job:{job}", {job: False})


def test_the_best_state_is_begun_with(desk: Desk) -> None:
    trained(desk)
    with desk.database.read() as session:
        version = resolve_model(session, "digits@1")
        assert isinstance(version, ModelVersion)
        state = training_state(session, version)
        assert state is not None
        assert (state.kind, state.images_seen) == (CheckpointKind.BEST, version.images_seen)


def test_a_version_that_a_waiting_job_begins_with_is_not_removed(desk: Desk, settings: Settings) -> None:
    trained(desk)
    job = desk.job(AGAIN)
    with pytest.raises(Conflict, match=f"train job {job.id} is pending"):
        act(desk.database, forget_version, "digits@1", DEED)
    rows.queue(desk.database)
    lease = rows.claimed(desk.database, rows.add_worker(desk.database))
    with desk.database.read() as session:
        assignment = build_assignment(session, lease, settings, 1)
    assert assignment.start is not None
    assert assignment.before is not None
    assert (assignment.start.reference, assignment.start.images) == ("digits@1", 1000)
    assert assignment.start.state.path.endswith("best.pt")
    assert (assignment.before.reference, assignment.before.fingerprint) == ("digits@1", "f" * 64)
    act(desk.database, finish, lease, Outcome.CANCELLED)
    act(desk.database, forget_version, "digits@1", DEED)
    assert "was removed" in refusal(desk, AGAIN.model_copy(update={"start_from": "digits@1"}), NotFound)


def test_data_are_compared_with_those_of_the_champion_at_the_submit(desk: Desk) -> None:
    assert rows.tasks(desk.database, desk.submit(SPEC, name="digits", hold=True).job_id)[0].params == {}
    act(desk.database, promote, trained(desk), "champion", DEED)
    job = desk.submit(SPEC, name="digits", hold=True).job_id
    assert rows.tasks(desk.database, job)[0].params == {"against": "digits@1"}
    assert rows.tasks(desk.database, desk.submit(SPEC, name="other", hold=True).job_id)[0].params == {}
    act(desk.database, promote, trained(desk), "champion", DEED)
    assert rows.tasks(desk.database, job)[0].params == {"against": "digits@1"}


def test_a_skipped_job_succeeds_without_a_version_and_says_why(desk: Desk) -> None:
    act(desk.database, promote, trained(desk), "champion", DEED)
    job_id = desk.submit(SPEC.model_copy(update={"skip_unchanged": True}), name="digits", priority=1000).job_id
    rows.queue(desk.database)
    lease = rows.claimed(desk.database, rows.add_worker(desk.database))
    skipped = {"reason": "NoNewData", "detail": "data set digits is what digits@1 was trained on"}
    result = {"skipped": skipped, "drift": {"now": 1797}, "drift_told": "the data are those of digits@1"}
    publish = publisher(Role.TRAIN)
    assert publish is not None
    act(desk.database, finish, lease, Outcome.SUCCEEDED, publish=lambda session: publish(session, lease, result))
    job, (task,) = rows.job(desk.database, job_id), rows.tasks(desk.database, job_id)
    assert (job.state, job.reason, job.message) == (State.SUCCEEDED, "NoNewData", skipped["detail"])
    assert task.result == {"skipped": skipped, "drift": {"now": 1797}}
    with desk.database.read() as session:
        newest = resolve_model(session, "digits")
        assert isinstance(newest, ModelVersion)
        assert newest.version == 1
    with pytest.raises(Conflict, match="has succeeded without a model: NoNewData: data set digits is what"):
        desk.submit(GenerateSpec(model=f"job:{job_id}", n=1))


def test_images_add_up_from_parent_to_child() -> None:
    assert images_learnt({"images_before": 500, PARENT: "a@1", DATA: {}}, 100) == 600

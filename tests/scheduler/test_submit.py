import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.aliases import Deed, promote, set_alias
from db.control import cancel_job
from db.engine import Database
from db.leases import finish
from db.registry import add_version, ensure_dataset
from db.tables import DeviceKind, Event, Job, JobDependency, Outcome
from db.versions import forget_version
from pixmill.aliases import aliases_of_task
from pixmill.errors import (
    ConfigError,
    Conflict,
    DatasetError,
    KeyConflict,
    NotFound,
    PixmillError,
    SpecError,
    UserError,
)
from pixmill.settings import Settings, load_settings
from pixmill.specs import KINDS as SPECS
from pixmill.specs import (
    NAME_PATTERN,
    AnimateSpec,
    EditSpec,
    EvaluateSpec,
    GenerateSpec,
    JobOptions,
    RestoreSpec,
    Spec,
    TrainSpec,
)
from pixmill.states import State
from scheduler.kinds import KINDS, kind_of
from scheduler.names import POKE_LIST
from scheduler.submit import Submitted, check_request, submit
from tests import rows
from tests.conftest import Broker
from tests.errands import run_in_processes, submit_once
from tests.rows import act

TRAIN = TrainSpec(model="vae", dataset="digits")
NOISE = TrainSpec(model="pix2pix", dataset="digits")
HOLES = TrainSpec(model="conv-ae", dataset="digits", options={"degradation": "mask"})
PLAIN = JobOptions()
DEED = Deed(actor="ann", reason="tried")


class Desk:
    """Submits to this test's database."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings

    def submit(self, spec: Spec = TRAIN, **options: Any) -> Submitted:
        return submit(self.database, self.settings, spec, JobOptions(**options), user="ann")

    def job(self, spec: Spec = TRAIN, **options: Any) -> Job:
        return rows.job(self.database, self.submit(spec, **options).job_id)

    def parents(self, job_id: int) -> dict[int, bool]:
        with self.database.read() as session:
            found = session.scalars(select(JobDependency).where(JobDependency.job_id == job_id))
            return {row.parent_id: row.any_outcome for row in found}

    def count(self) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(Job)) or 0

    def ended(self, outcome: Outcome, kind: str = "train") -> int:
        lease = rows.running(self.database, kind=kind, priority=1000)
        act(self.database, finish, lease, outcome)
        return lease.job_id

    def trained(self, name: str = "digits", job_id: int | None = None, **version: Any) -> int:
        """Publish the next version of a model line; gives the train job's id."""
        job_id = job_id or rows.add(self.database, name=name)

        def publish(session: Session) -> None:
            dataset = ensure_dataset(session, "digits", "f" * 64, {})
            add_version(session, name, rows.version(job_id, dataset, **version))

        self.database.transact(publish)
        return job_id


@pytest.fixture
def desk(database: Database, settings: Settings) -> Desk:
    return Desk(database, settings)


def test_a_submitted_job_is_there_and_the_scheduler_is_poked(desk: Desk, valkey: Broker) -> None:
    done = desk.submit(name="digits", priority=3, queue="nightly", device="cpu", labels={"a": "b"})
    assert (done.is_new, done.broker_error) == (True, None)
    job = rows.job(desk.database, done.job_id)
    assert (job.kind, job.name, job.state, job.user_name) == ("train", "digits", State.PENDING, "ann")
    assert (job.priority, job.queue, job.labels, job.progress_total) == (3, "nightly", {"a": "b"}, 200_000)
    assert (job.spec, job.spec_digest) == (TRAIN.model_dump(mode="json"), TRAIN.digest())
    (task,) = rows.tasks(desk.database, job.id)
    assert (task.device_kind, task.priority, task.queue) == (DeviceKind.CPU, 3, "nightly")
    with valkey.client() as client:
        assert client.llen(POKE_LIST) == 1


def test_a_held_job_with_a_begin_time_is_both(desk: Desk) -> None:
    job = desk.job(hold=True, begin="2036-11-21T02:00:00+01:00")
    assert job.state is State.HELD
    assert job.begin_at is not None
    assert job.begin_at.isoformat() == "2036-11-21T01:00:00+00:00"
    assert rows.tasks(desk.database, job.id)[0].available_at == job.begin_at


def test_without_redis_a_submit_succeeds_and_says_so(database: Database, tmp_path: Path) -> None:
    settings = load_settings(flags={"broker.url": f"redis+socket://{tmp_path}/none.sock"})
    done = Desk(database, settings).submit()
    assert done.is_new
    assert done.broker_error is not None
    assert "Redis does not answer" in done.broker_error
    assert rows.job(database, done.job_id).state is State.PENDING


def test_with_an_address_that_can_never_work_nothing_is_added(database: Database) -> None:
    desk = Desk(database, load_settings(flags={"broker.url": "amqp://localhost"}))
    with pytest.raises(ConfigError, match=r"broker\.url has scheme 'amqp'"):
        desk.submit()
    assert desk.count() == 0


def test_the_same_key_and_spec_is_the_same_job(desk: Desk) -> None:
    first = desk.submit(key="nightly")
    again = desk.submit(key="nightly", priority=9)
    assert (again.job_id, again.is_new) == (first.job_id, False)
    assert desk.count() == 1


def test_the_same_key_with_another_spec_is_refused_with_the_differences(desk: Desk) -> None:
    job_id = desk.submit(key="nightly").job_id
    message = f"key 'nightly' belongs to job {job_id}, which asks for something else: images 200000 → 5; seed 0 → 1"
    with pytest.raises(KeyConflict, match=re.escape(message)) as caught:
        desk.submit(TRAIN.model_copy(update={"seed": 1, "images": 5}), key="nightly")
    assert caught.value.hint is not None
    assert f"pixmill job show {job_id}" in caught.value.hint
    assert desk.count() == 1


def test_a_key_finds_its_job_though_a_newer_model_is_there_by_now(desk: Desk) -> None:
    train = desk.trained()
    for model in ("digits", "digits@1", f"job:{train}"):
        spec = GenerateSpec(model=model, n=10)
        first = desk.submit(spec, key=model)
        desk.trained()
        assert desk.submit(spec, key=model) == Submitted(job_id=first.job_id, is_new=False, broker_error=None)
    with pytest.raises(KeyConflict, match="model 'digits@1' → 'digits@2'"):
        desk.submit(GenerateSpec(model="digits@2", n=10), key="digits")


def test_a_key_finds_its_job_though_its_model_was_trained_meanwhile(desk: Desk) -> None:
    train = rows.add(desk.database)
    spec = GenerateSpec(model=f"job:{train}", n=10)
    first = desk.submit(spec, key="k")
    desk.trained(job_id=train)
    assert desk.submit(spec, key="k").job_id == first.job_id


def test_a_key_finds_its_job_though_its_parent_failed_meanwhile(desk: Desk) -> None:
    lease = rows.running(desk.database)
    first = desk.submit(key="k", after=[lease.job_id])
    act(desk.database, finish, lease, Outcome.FAILED)
    assert desk.submit(key="k", after=[lease.job_id]).job_id == first.job_id


def test_fifty_processes_with_one_key_add_one_job(
    desk: Desk, database_url: str, tmp_path: Path, valkey: Broker
) -> None:
    flags = {"home": str(tmp_path), "database.url": database_url, "broker.url": valkey.url}
    found = run_in_processes(submit_once, flags, count=50)
    assert len({done.job_id for done in found}) == 1
    assert [done.is_new for done in found].count(True) == 1
    assert desk.count() == 1
    with desk.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Event).where(Event.action == "submit")) == 1


def test_a_job_waits_for_the_jobs_it_names(desk: Desk) -> None:
    first, second = desk.submit().job_id, desk.submit().job_id
    child = desk.submit(after=[first, second, first], after_policy="any").job_id
    assert desk.parents(child) == {first: True, second: True}


@pytest.mark.parametrize(("outcome", "words"), [(Outcome.FAILED, "failed"), (Outcome.CANCELLED, "been cancelled")])
def test_a_job_that_could_never_start_is_refused(desk: Desk, outcome: Outcome, words: str) -> None:
    parent = desk.ended(outcome)
    with pytest.raises(Conflict, match=f"job {parent} has {words}") as caught:
        desk.submit(after=[parent])
    assert caught.value.hint is not None
    assert "--after-policy any" in caught.value.hint
    assert desk.submit(after=[parent], after_policy="any").is_new


def test_an_unknown_parent_is_not_found_and_nothing_is_added(desk: Desk) -> None:
    with pytest.raises(NotFound, match="no job 999"):
        desk.submit(after=[999])
    assert desk.count() == 0


def test_a_model_is_pinned_to_the_version_of_this_moment(desk: Desk) -> None:
    desk.trained()
    job = desk.job(GenerateSpec(model="digits", n=10))
    desk.trained()
    assert job.spec["model"] == "digits@1"
    assert job.spec_digest == GenerateSpec(model="digits@1", n=10).digest()
    assert desk.job(GenerateSpec(model="digits", n=10)).spec["model"] == "digits@2"
    assert desk.job(GenerateSpec(model="digits@1", n=10)).spec["model"] == "digits@1"


def named_by(desk: Desk, job: Job) -> dict[str, str]:
    """What each task was told of aliases, and what the event of the submit says."""
    told = [aliases_of_task(task.params) for task in rows.tasks(desk.database, job.id)]
    assert all(each == told[0] for each in told)
    with desk.database.read() as session:
        note = session.scalars(select(Event.detail).where(Event.job_id == job.id, Event.action == "submit")).one()
    words = [f"{version.partition('@')[0]}@{alias} is {version}" for version, alias in told[0].items()]
    assert sorted((note or "").split(", ")) == sorted(words or [""])
    return told[0]


def test_an_alias_is_pinned_to_its_version_and_remembered(desk: Desk) -> None:
    desk.trained()
    desk.trained()
    desk.trained("judge", preset="cnn")
    act(desk.database, promote, "digits@1", "champion", DEED)
    act(desk.database, promote, "digits@2", "challenger", DEED)
    act(desk.database, set_alias, "judge@1", "strict", DEED)
    spec = GenerateSpec(
        model="digits@champion", n=10, further_models=["digits@challenger"], filter_model="judge@strict"
    )
    job = desk.job(spec)
    assert [job.spec[key] for key in ("model", "further_models", "filter_model")] == [
        "digits@1",
        ["digits@2"],
        "judge@1",
    ]
    assert named_by(desk, job) == {"digits@1": "champion", "digits@2": "challenger", "judge@1": "strict"}
    plain = GenerateSpec(model="digits@1", n=10)
    assert desk.job(GenerateSpec(model="digits@champion", n=10)).spec_digest == desk.job(plain).spec_digest
    act(desk.database, promote, "digits@2", "champion", DEED)
    assert named_by(desk, desk.job(GenerateSpec(model="digits@champion", n=10))) == {"digits@2": "champion"}
    assert named_by(desk, desk.job(plain)) == {}
    with pytest.raises(NotFound, match="model digits has no alias 'champoin'") as caught:
        desk.submit(GenerateSpec(model="digits@champoin", n=10))
    assert caught.value.hint == "did you mean digits@champion?"


def test_a_key_finds_its_job_though_the_alias_has_moved_and_its_model_was_removed(desk: Desk) -> None:
    desk.trained()
    desk.trained()
    act(desk.database, set_alias, "digits@1", "beta", DEED)
    spec = GenerateSpec(model="digits@beta", n=10)
    first = desk.submit(spec, key="k")
    act(desk.database, set_alias, "digits@2", "beta", DEED)
    assert desk.submit(spec, key="k").job_id == first.job_id
    with pytest.raises(KeyConflict, match="model 'digits@1' → 'digits@gamma'"):
        desk.submit(GenerateSpec(model="digits@gamma", n=10), key="k")
    act(desk.database, cancel_job, first.job_id, actor="ann")
    act(desk.database, forget_version, "digits@1", DEED)
    assert desk.submit(spec, key="k").job_id == first.job_id
    with pytest.raises(NotFound, match="digits@1 was removed"):
        desk.submit(GenerateSpec(model="digits@1", n=10))


def test_images_of_a_model_still_in_training_wait_for_it(desk: Desk) -> None:
    train = desk.submit().job_id
    job = desk.job(GenerateSpec(model=f"job:{train}", n=10), after=[train], after_policy="any")
    assert job.spec["model"] == f"job:{train}"
    assert desk.parents(job.id) == {train: False}
    desk.trained("mine", job_id=train)
    assert desk.job(GenerateSpec(model=f"job:{train}", n=10)).spec["model"] == "mine@1"


@pytest.mark.parametrize(
    ("classes", "asked", "message", "hint"),
    [
        (["cat", "dog"], ["cat", "cow"], "the model has no class 'cow'", "choose one of: cat, dog"),
        (["cat", "dog"], ["dgo"], "the model has no class 'dgo'", "did you mean 'dog'?"),
        ([], ["cat"], "model digits@1 knows no classes; 'cat' was asked for", "train it with --conditional"),
    ],
)
def test_a_class_that_the_model_does_not_know_is_refused(
    desk: Desk, classes: list[str], asked: list[str], message: str, hint: str
) -> None:
    desk.trained(classes=classes)
    with pytest.raises(SpecError, match=message) as caught:
        desk.submit(GenerateSpec(model="digits", n=10, classes=asked))
    assert caught.value.hint == hint


@pytest.mark.parametrize("quotas", [{"class_counts": {"cat": 5, "cow": 5}}, {"class_weights": {"cow": 1.0}}])
def test_so_is_one_that_is_to_have_a_quota(desk: Desk, quotas: dict[str, Any]) -> None:
    desk.trained(classes=["cat", "dog"])
    with pytest.raises(SpecError, match="the model has no class 'cow'"):
        desk.submit(GenerateSpec(model="digits", n=10, **quotas))


def test_a_filter_is_pinned_and_known_again_by_its_name(desk: Desk) -> None:
    desk.trained()
    desk.trained("reader", preset="cnn")
    spec = GenerateSpec(model="digits", n=10, filter_model="reader")
    job = desk.job(spec, key="once")
    assert (job.spec["filter_model"], job.spec["min_confidence"]) == ("reader@1", 0.8)
    desk.trained("reader", preset="cnn")
    assert desk.submit(spec, key="once").job_id == job.id
    with pytest.raises(SpecError, match=r"model digits@1 is a generator \(vae\): it judges no images"):
        desk.submit(spec.model_copy(update={"filter_model": "digits"}))
    train = desk.submit(TrainSpec(model="cnn", dataset="digits")).job_id
    assert desk.parents(desk.job(spec.model_copy(update={"filter_model": f"job:{train}"})).id) == {train: False}


def test_further_models_are_pinned_and_must_make_the_same_images(desk: Desk) -> None:
    desk.trained()
    desk.trained("other")
    spec = GenerateSpec(model="digits", n=10, further_models=["other"])
    job = desk.job(spec, key="once")
    assert (job.spec["further_models"], job.spec["model_weights"]) == (["other@1"], [1.0, 1.0])
    desk.trained("other", image_size=8)
    assert desk.submit(spec, key="once").job_id == job.id
    with pytest.raises(SpecError, match="model other@2 makes images of 8×8×1, and digits@1 of 16×16×1"):
        desk.submit(spec)
    desk.trained("other", classes=["0"])
    with pytest.raises(SpecError, match="models digits@1 and other@3 know other classes"):
        desk.submit(spec)
    desk.trained("other", preset="cnn")
    with pytest.raises(SpecError, match="makes no images"):
        desk.submit(spec)


def test_known_classes_are_taken(desk: Desk) -> None:
    desk.trained(classes=["cat", "dog"])
    assert desk.job(GenerateSpec(model="digits", n=10, classes=["dog"])).spec["classes"] == ["dog"]


def test_judging_waits_for_the_images(desk: Desk) -> None:
    output = rows.add(desk.database, kind="generate")
    waiting = desk.submit(EvaluateSpec(output=output, dataset="digits")).job_id
    assert desk.parents(waiting) == {output: False}
    done = desk.ended(Outcome.SUCCEEDED, kind="generate")
    assert desk.parents(desk.submit(EvaluateSpec(output=done)).job_id) == {}


def test_what_cannot_be_judged_is_refused(desk: Desk) -> None:
    train = desk.submit().job_id
    failed = desk.ended(Outcome.FAILED, kind="generate")
    for output, error, message in (
        (train, UserError, f"job {train} is of kind train"),
        (failed, Conflict, f"job {failed} has failed; its output is not complete"),
        (999, NotFound, "no job 999"),
    ):
        with pytest.raises(error, match=message):
            desk.submit(EvaluateSpec(output=output))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": "veaa"}, SpecError, "veaa"),
        ({"options": {"wdith": 3}}, SpecError, "wdith"),
        ({"model": "predrnn", "dataset": "moving:digits", "options": {"crop": 0.1}}, SpecError, "no option 'crop'"),
        ({"dataset": "digtis"}, DatasetError, "digtis"),
        ({"model": "convlstm", "dataset": "moving:digtis"}, DatasetError, "digtis"),
        ({"model": "forest", "devices": 2}, SpecError, "'forest' is trained on one device; 2 were asked for"),
        ({"devices": 4, "batch_size": 7}, SpecError, "a batch of 7 images is too small for 4 devices"),
        ({"dataset": "moving:digits"}, SpecError, "vae learns from images, and moving:digits is of sequences"),
        ({"model": "predrnn"}, SpecError, "predrnn learns to predict frames, and digits is of single images"),
        (
            {"model": "convlstm", "dataset": "moving:digits", "conditional": True},
            SpecError,
            "preset convlstm learns no classes",
        ),
        ({"dataset": "folder:/nowhere/at/all"}, DatasetError, "/nowhere/at/all"),
        ({"dataset": "pairs:/"}, SpecError, "preset 'vae' learns from single images"),
        ({"model": "pix2pix", "dataset": "pairs:/", "on_bad_image": "skip"}, SpecError, "without one of its images"),
        (
            {"model": "pix2pix", "dataset": "pairs:/", "options": {"degradation": "blur"}},
            SpecError,
            "degradation 'blur' means nothing",
        ),
        ({"model": "conv-ae", "options": {"degradation": "given"}}, SpecError, "is of single images: nothing is given"),
    ],
)
def test_a_train_spec_that_cannot_work_is_refused_at_once(
    desk: Desk, change: dict[str, Any], error: type[PixmillError], message: str
) -> None:
    with pytest.raises(error, match=message):
        desk.submit(TRAIN.model_copy(update=change))
    assert desk.count() == 0


def test_a_folder_is_stored_as_every_worker_finds_it(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "tom.png").touch()
    monkeypatch.chdir(tmp_path)
    job = desk.job(TRAIN.model_copy(update={"dataset": "folder:cats"}))
    assert job.spec["dataset"] == f"folder:{tmp_path}/cats"
    assert job.name == "vae-cats"
    output = rows.add(desk.database, kind="generate")
    judged = desk.job(EvaluateSpec(output=output, dataset="folder:cats"))
    assert judged.spec["dataset"] == f"folder:{tmp_path}/cats"


def test_an_animate_job_is_settled_by_its_model(desk: Desk) -> None:
    desk.trained(job_id=desk.submit(TRAIN, name="digits").job_id)
    walk = desk.job(AnimateSpec(model="digits", n=5, frames=30))
    assert (walk.spec["model"], walk.spec["stops"], walk.spec["given"]) == ("digits@1", 4, None)
    assert (walk.progress_total, walk.name) == (150, "digits-animations")
    moves = TrainSpec(model="predrnn", dataset="moving:digits", options={"given_frames": 6})
    train = desk.submit(moves, name="moves").job_id
    forecast = desk.job(AnimateSpec(model=f"job:{train}", n=5, frames=30))
    assert (forecast.spec["stops"], forecast.spec["given"], forecast.progress_total) == (None, 6, 180)
    assert desk.parents(forecast.id) == {train: False}


def test_a_restore_job_knows_its_folder_or_the_part_of_its_data_set(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "cat.png").touch()
    train = desk.submit(TrainSpec(model="conv-ae", dataset="digits"), name="clean").job_id
    folder = desk.job(RestoreSpec(model=f"job:{train}", input=str(tmp_path)))
    assert (folder.spec["input"], folder.spec["part"]) == (f"folder:{tmp_path}", None)
    assert (desk.parents(folder.id), folder.name) == ({train: False}, f"job-{train}-restored")
    damaged = desk.job(RestoreSpec(model=f"job:{train}", input="digits", degrade=True, n=7))
    assert (damaged.spec["input"], damaged.spec["part"], damaged.progress_total) == ("digits", "held-out", 7)


@pytest.mark.parametrize(
    ("train", "change", "error", "message"),
    [
        (TRAIN, {}, SpecError, r"is a generator \(vae\): it restores no images"),
        (HOLES, {}, SpecError, "fills holes, and must be told where they are"),
        (HOLES, {"input": "digits", "mask": "{folder}"}, SpecError, "masks belong to the files of a folder"),
        (HOLES, {"mask": "{folder}", "degrade": True}, SpecError, "holes are either drawn, or given by masks"),
        (HOLES, {"mask": "{folder}/none"}, DatasetError, "there is no folder"),
        (NOISE, {"mask": "{folder}"}, SpecError, "was trained on noise: it fills no holes"),
        (NOISE, {"part": "all"}, SpecError, "all of which are restored"),
        (NOISE, {"input": "digtis"}, DatasetError, "digtis"),
        (NOISE, {"input": "moving:digits"}, DatasetError, "images are needed"),
    ],
)
def test_what_cannot_be_restored_is_refused(
    desk: Desk, tmp_path: Path, train: TrainSpec, change: dict[str, Any], error: type[PixmillError], message: str
) -> None:
    (tmp_path / "cat.png").touch()
    job = desk.submit(train, name="model").job_id
    texts = {key: value.format(folder=tmp_path) if isinstance(value, str) else value for key, value in change.items()}
    with pytest.raises(error, match=message):
        desk.submit(RestoreSpec(**{"model": f"job:{job}", "input": str(tmp_path)} | texts))


def test_the_same_key_is_the_same_animation_though_the_model_has_filled_it_in(desk: Desk) -> None:
    desk.trained(job_id=desk.submit(TRAIN, name="digits").job_id)
    spec = AnimateSpec(model="digits", n=5)
    first = desk.submit(spec, key="once")
    desk.trained(job_id=desk.submit(TRAIN, name="digits").job_id)
    again = desk.submit(spec, key="once")
    assert (again.job_id, again.is_new) == (first.job_id, False)
    with pytest.raises(KeyConflict, match="stops 4 → 5"):
        desk.submit(spec.model_copy(update={"stops": 5}), key="once")


@pytest.mark.parametrize(
    ("train", "change", "message"),
    [
        (TRAIN, {"given": 5}, "vae makes its images from latents: it takes no given frames"),
        (TRAIN, {"classes": ["7"]}, "knows no classes"),
        (TrainSpec(model="convlstm", dataset="moving:digits"), {"stops": 5}, "goes on with sequences"),
        (TrainSpec(model="convlstm", dataset="moving:digits"), {"classes": ["7"]}, "learns no classes"),
        (TrainSpec(model="cnn", dataset="digits"), {}, "is a classifier"),
    ],
)
def test_what_means_nothing_to_the_model_is_refused(
    desk: Desk, train: TrainSpec, change: dict[str, Any], message: str
) -> None:
    desk.trained(job_id=desk.submit(train, name="digits").job_id, preset=train.model, classes=[])
    with pytest.raises(SpecError, match=message):
        desk.submit(AnimateSpec(model="digits", **change))


def test_a_model_of_sequences_makes_no_images_of_its_own(desk: Desk) -> None:
    train = desk.submit(TrainSpec(model="convlstm", dataset="moving:digits"), name="moves").job_id
    with pytest.raises(SpecError, match=r"is a predictor of frames \(convlstm\): it makes no images") as caught:
        desk.submit(GenerateSpec(model=f"job:{train}", n=3))
    assert caught.value.hint == f"pixmill submit animate --model job:{train}"


def test_the_table_has_every_kind_and_names_keys_that_it_has() -> None:
    assert KINDS.keys() == SPECS.keys()
    for name, kind in KINDS.items():
        assert {*kind.models, *kind.datasets.values(), *kind.left_to_model} <= SPECS[name].model_fields.keys()


def test_cancelling_before_the_first_tick_leaves_nothing_to_do(desk: Desk) -> None:
    job_id = desk.submit().job_id
    act(desk.database, cancel_job, job_id, actor="ann")
    assert rows.queue(desk.database) == []


@given(st.sampled_from(["folder:", "idx:"]), st.text(max_size=120))
def test_a_default_name_is_always_one_that_can_be_referred_to(kind: str, path: str) -> None:
    spec = TrainSpec(model="vae", dataset=f"{kind}{path}")
    assert re.fullmatch(NAME_PATTERN, kind_of(spec).default_name(spec))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (TRAIN, "vae-digits"),
        (TrainSpec(model="vae", dataset="folder:/data/My Cats/"), "vae-My-Cats"),
        (TrainSpec(model="vae", dataset="folder:/data/größe"), "vae-gr--e"),
        (GenerateSpec(model="digits@3", n=1), "digits-images"),
        (GenerateSpec(model="job:3", n=1), "job-3-images"),
        (AnimateSpec(model="digits@3"), "digits-animations"),
        (EditSpec(model="digits@3", way="class"), "digits-edited"),
        (EvaluateSpec(output=4), "judge-4"),
    ],
)
def test_a_job_without_a_name_is_named_after_what_it_does(spec: Spec, name: str) -> None:
    assert kind_of(spec).default_name(spec) == name


def test_weights_of_inception_are_a_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=rf"there is no file {tmp_path}/weights.pth"):
        check_request(EvaluateSpec(output=1, inception="weights.pth"))
    (tmp_path / "weights.pth").touch()
    checked = check_request(EvaluateSpec(output=1, inception="weights.pth"))
    assert isinstance(checked, EvaluateSpec)
    assert checked.inception == str(tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "raw", "encoder": "png"}, "format raw holds pixels"),
        ({"format": "parquet", "labels_in_tar": True}, "there is no tar in format parquet"),
        ({"format": "files", "n": 100_001}, "at most 100,000 images"),
    ],
)
def test_a_format_that_cannot_hold_what_is_asked_for_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_request(GenerateSpec(**{"model": "digits", "n": 10, **changes}))
    check_request(GenerateSpec(model="digits", n=100_000, format="files"))


def test_a_folder_for_each_class_is_refused_where_data_sets_go_to_a_bucket(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIXMILL_STORAGE_OUTPUTS", "s3://pictures/made/")
    settings = load_settings(flags={"home": tmp_path})
    assert settings.storage.outputs == "s3://pictures/made"
    spec = GenerateSpec(model="digits", n=10, format="files")
    with pytest.raises(SpecError, match="which a bucket has not"):
        submit(database, settings, spec, JobOptions(), user="ann")

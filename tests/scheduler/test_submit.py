import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.control import cancel_job
from db.engine import Database
from db.tables.fleet import DeviceKind
from db.tables.jobs import Outcome
from pixmill.errors import (
    ConfigError,
    Conflict,
    DatasetError,
    NotFound,
    PixmillError,
    SpecError,
)
from pixmill.modelkeys import MODEL_KEYS
from pixmill.names import NAME_PATTERN
from pixmill.settings import load_settings
from pixmill.specs import KINDS as SPECS
from pixmill.specs import AnimateSpec, EditSpec, EvaluateSpec, GenerateSpec, JobOptions, Spec, TrainSpec
from pixmill.states import State
from scheduler.kinds import KINDS, kind_of
from scheduler.names import POKE_LIST
from scheduler.submit import check_request, submit
from tests import rows
from tests.conftest import Broker
from tests.rows import act
from tests.scheduler.desk import TRAIN, Desk


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


def test_the_table_has_every_kind_and_names_keys_that_it_has() -> None:
    assert KINDS.keys() == SPECS.keys()
    for name, kind in KINDS.items():
        assert {*MODEL_KEYS.get(name, ()), *kind.datasets.values(), *kind.left_to_model} <= SPECS[
            name
        ].model_fields.keys()


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

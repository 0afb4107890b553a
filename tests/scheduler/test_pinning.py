"""What a spec refers to, at the moment of its submit."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db.aliases import promote, set_alias
from db.tables.jobs import Event, Job, Outcome
from pixmill.aliases import aliases_of_task
from pixmill.errors import (
    Conflict,
    DatasetError,
    NotFound,
    PixmillError,
    SpecError,
    UserError,
)
from pixmill.specs import (
    AnimateSpec,
    EvaluateSpec,
    GenerateSpec,
    RestoreSpec,
    TrainSpec,
)
from tests import rows
from tests.rows import act
from tests.scheduler.desk import DEED, TRAIN, Desk

NOISE = TrainSpec(model="pix2pix", dataset="digits")
HOLES = TrainSpec(model="conv-ae", dataset="digits", options={"degradation": "mask"})


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

"""What `model show` and `model compare` tell of models that make no images, and which measurement they choose."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.leases import finish
from db.tables.jobs import Outcome, Role
from db.tables.models import Evaluation
from imagemodels.evaluation.figures import accuracy_metric, sequence_metrics
from imagemodels.evaluation.report import Metric
from imagemodels.evaluation.sequences import SequenceReport, StepFigures
from pixmill.specs import TrainSpec
from tests.cli.running import Runner
from tests.cli.test_model_compare import REPORT, evaluated
from tests.cli.world import World
from tests.reports.pages import Page
from worker.parent.publishing import publisher

STEPS = StepFigures(mse=(0.25, 0.5), psnr=(6.0, 3.0), ssim=(0.75, 0.5))
CONTROL = StepFigures(mse=(0.5, 1.0), psnr=(3.0, 0.0), ssim=(0.5, 0.25))
PREDICTIONS = SequenceReport(sequences=256, given_frames=3, model=STEPS, copy_last=CONTROL, pixel_mean=CONTROL)


def trained(world: World, name: str, preset: str, metrics: tuple[Metric, ...], count: int = 256) -> int:
    """A train job whose model was measured by it, ended as a worker ends it; its id."""
    sort = "moving:digits" if preset == "predrnn" else "digits"
    job_id = world.submit(TrainSpec(model=preset, dataset=sort, images=1_000), name=name)
    lease = world.claim(world.worker(f"cpu-{name}"))
    result: dict[str, Any] = {
        "dataset": {"name": sort, "description": {"fingerprint": "f" * 64}},
        "metric": {"name": "mse", "value": 0.375},
        "preset": preset,
        "folder": f"{lease.folder}/model",
        "digest": name[0] * 64,
        "image_size": 16,
        "channels": 1,
        "classes": [],
        "images_seen": 1_000,
        "best_images_seen": None,
        "lineage": {"device": "cpu"},
        "measured": {"images": count, "metrics": [asdict(metric) for metric in metrics]},
    }
    publish = publisher(Role.TRAIN)
    assert publish is not None
    world.database.transact(
        lambda session: finish(
            session, lease, Outcome.SUCCEEDED, publish=lambda session: publish(session, lease, result)
        )
    )
    return job_id


@pytest.fixture
def predictors(world: World) -> World:
    """Two models of sequences; the second predicts what repeating the last frame does."""
    trained(world, "first", "predrnn", sequence_metrics(PREDICTIONS))
    trained(world, "second", "predrnn", sequence_metrics(replace(PREDICTIONS, model=CONTROL)))
    return world


@pytest.mark.usefixtures("predictors")
def test_predicted_frames_are_rows_beside_the_controls_of_sequences(run: Runner, tmp_path: Path) -> None:
    lines = [line.split() for line in run("model", "show", "first").lines]
    assert ["METRIC", "VALUE", "N", "BETTER", "LAST", "MEAN"] in lines
    assert ["ssim@3+2", "0.5", "256", "higher", "0.25", "0.25"] in lines
    (item,) = run("model", "show", "first", "-o", "json").json["item"]["measurements"]
    assert (item["kind"], item["count"], item["dataset"]["name"]) == ("train", 256, "moving:digits")
    assert item["metrics"][0]["name"] == "mse@3+1..2"

    page = tmp_path / "page.html"
    found = run("model", "compare", "first", "second", "--out", page)
    rows = [line.split() for line in found.lines]
    assert rows[0] == ["METRIC", "MODEL", "VALUE", "N", "LAST", "MEAN", "BETTER", "VERDICT"]
    assert ["mse@3+1", "first@1", "0.25", "256", "0.5", "0.5", "lower", "better"] in rows
    item = run("model", "compare", "first", "second", "-o", "json").json["item"]
    assert (item["first"]["feature_net"], item["first"]["evaluation_job_id"]) == (None, 1)
    assert {metric["verdict"] for metric in item["metrics"]} == {"first"}
    text = Page(page.read_text(encoding="utf-8")).text
    assert "the mean training frame reaches" in text
    assert "held-out real images" not in text
    assert "sequences measured" in text


def test_a_train_job_shows_the_first_and_the_last_frame(predictors: World, run: Runner) -> None:
    long = SequenceReport(
        sequences=9,
        given_frames=3,
        model=StepFigures(mse=(0.5,) * 9, psnr=(3.0,) * 9, ssim=(0.5,) * 9),
        copy_last=StepFigures(mse=(0.5,) * 9, psnr=(3.0,) * 9, ssim=(0.5,) * 9),
        pixel_mean=StepFigures(mse=(0.5,) * 9, psnr=(3.0,) * 9, ssim=(0.5,) * 9),
    )
    out = run("job", "show", trained(predictors, "long", "predrnn", sequence_metrics(long))).out
    assert "mse@3+1..9" in out
    assert "ssim@3+9" in out
    assert "ssim@3+5" not in out


def test_only_models_of_a_kind_are_compared(predictors: World, run: Runner) -> None:
    for name, right in (("reader", 8), ("scanner", 4)):
        confusion = np.array([[right, 10 - right], [0, 10]])
        trained(predictors, name, "cnn", (accuracy_metric(confusion),), count=20)
    found = run("model", "compare", "reader", "first")
    assert found.code == 2
    assert "reader@1 is a classifier and first@1 is a predictor of frames" in found.err
    rows = [line.split() for line in run("model", "compare", "reader", "scanner").lines]
    assert rows[1] == ["accuracy@held_out", "reader@1", "0.9", "20", "0.5", "higher", "within", "chance"]


def test_a_model_without_measurements_says_how_to_get_some(world: World, run: Runner) -> None:
    world.trained(world.worker())
    found = run("model", "show", "digits-vae")
    assert found.code == 0
    assert "digest" in found.out
    assert "it was never measured: pixmill submit generate --model digits-vae@1" in found.err
    assert run("model", "show", "digits-vae", "-o", "json").json["item"]["measurements"] == []
    assert run("model", "show", "nothing").code == 3


def test_measurements_by_the_same_judge_are_preferred_to_newer_ones(world: World, run: Runner) -> None:
    for _ in range(2):
        world.trained(world.worker(), name="digits-vae")
    jobs = [
        evaluated(world, version, REPORT, n=n, net=net)
        for version, n, net in ((1, 40, "cnn-aa"), (1, 40, "cnn-bb"), (2, 40, "cnn-aa"), (2, 40, "cnn-cc"))
    ]
    item = run("model", "compare", "digits-vae@1", "digits-vae@2", "-o", "json").json["item"]
    assert [item[side]["evaluation_job_id"] for side in ("first", "second")] == [jobs[0], jobs[2]]
    with world.database.read() as session:
        assert session.get_one(Evaluation, 1).dataset.name == "digits"

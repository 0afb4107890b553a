from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from db.leases import finish
from db.tables.jobs import Outcome
from db.tables.models import Evaluation
from imagemodels.evaluation.report import Control, EvaluationReport, Metric
from tests.cli.running import Runner
from tests.cli.world import World
from tests.reports.pages import Page

CONTROLS = (Control("held_out_real", 0.125, 50), Control("training_copies", 0.25, 50), Control("noise", 9.0, 50))
REPORT = EvaluationReport(
    dataset="digits",
    dataset_fingerprint="f" * 64,
    feature_net="cnn-11111111",
    feature_net_digest="1" * 64,
    image_size=8,
    channels=1,
    generated_images=40,
    measured_images=40,
    seed=0,
    metrics=(
        Metric("fd@cnn-11111111", 1.5, 40, 50, "lower", "distance", CONTROLS),
        Metric("usefulness@cnn", 0.75, 40, 50, "higher", "accuracy", (Control("real_training", 0.9375, 50),)),
    ),
    warnings=("few images",),
)


def with_values(distance: float, usefulness: float, **changes: Any) -> EvaluationReport:
    values = (distance, usefulness)
    metrics = tuple(replace(metric, value=value) for metric, value in zip(REPORT.metrics, values, strict=True))
    return replace(REPORT, metrics=metrics, **changes)


def evaluated(world: World, version: int, report: EvaluationReport, n: int = 40, net: str = "cnn-11111111") -> int:
    """An evaluate job of this version, from submit to its row and its report; its id."""
    worker = world.worker(f"cpu-{version}-{n}-{net}")
    output = world.generated(worker, f"digits-vae@{version}")
    job_id = world.evaluate(output)
    lease = world.claim(worker)
    (world.root / lease.folder / "evaluation.json").write_text(report.to_json(), encoding="utf-8")

    def publish(session: Session) -> dict[str, Any]:
        row = Evaluation(
            job_id=job_id,
            output_job_id=output,
            model_version_id=version,
            dataset_id=1,
            image_count=n,
            metrics=[{"name": f"fd@{net}"}],
        )
        session.add(row)
        return {"report": f"{lease.folder}/evaluation.json", "images": n}

    world.database.transact(lambda session: finish(session, lease, Outcome.SUCCEEDED, publish=publish))
    return job_id


@pytest.fixture
def two(world: World) -> World:
    """Two versions of one model, neither evaluated."""
    worker = world.worker()
    for _ in range(2):
        world.trained(worker, name="digits-vae")
    return world


def test_two_evaluated_models_stand_side_by_side(two: World, run: Runner, tmp_path: Path) -> None:
    evaluated(two, 1, REPORT)
    second = evaluated(two, 2, with_values(0.5, 0.625))
    page = tmp_path / "both.html"
    found = run("model", "compare", "digits-vae@1", "digits-vae@2", "--out", page)
    assert (found.code, found.err) == (0, f"page: {page}\n")
    rows = [line.split() for line in found.lines]
    assert rows[0] == ["METRIC", "MODEL", "VALUE", "N", "REAL", "COPIES", "NOISE", "BETTER", "VERDICT"]
    assert rows[1:3] == [
        ["fd@cnn-11111111", "digits-vae@1", "1.5", "40", "0.125", "0.25", "9", "lower"],
        ["fd@cnn-11111111", "digits-vae@2", "0.5", "40", "0.125", "0.25", "9", "lower", "better"],
    ]
    assert rows[3] == ["usefulness@cnn", "digits-vae@1", "0.75", "40", "0.9375", "–", "–", "higher", "better"]
    read = Page(page.read_text(encoding="utf-8"))
    assert "digits-vae@1 beside digits-vae@2" in read.text
    assert "1" * 64 in read.text
    assert "few images" in read.text
    assert read.text.count(" better ") >= 3  # once a metric, and in the head
    assert len(read.attributes_of("img")) == 2  # both contact sheets
    item = run("model", "compare", "digits-vae@1", "digits-vae@2", "-o", "json").json["item"]
    assert item["second"]["evaluation_job_id"] == second
    assert item["first"]["feature_net"] == {"name": "cnn-11111111", "digest": "1" * 64}
    assert [(metric["name"], metric["verdict"]) for metric in item["metrics"]] == [
        ("fd", "second"),
        ("usefulness@cnn", "first"),
    ]
    assert item["metrics"][0]["first"]["controls"][2] == {"name": "noise", "value": 9.0, "n": 50}


def test_what_cannot_be_compared_is_said_in_a_line(two: World, run: Runner) -> None:
    evaluated(two, 1, REPORT)
    evaluated(two, 2, replace(REPORT, dataset="mnist", dataset_fingerprint="e" * 64))
    found = run("model", "compare", "digits-vae@1", "digits-vae@2")
    assert found.code == 0
    assert found.err == (
        "nothing is compared: they were judged by different data, digits (ffffffffffff) and mnist (eeeeeeeeeeee)\n"
    )
    assert found.out.count("not compared") == 4


def test_the_newest_evaluations_on_as_many_images_are_taken(two: World, run: Runner) -> None:
    alike = evaluated(two, 1, REPORT)
    evaluated(two, 1, with_values(3.0, 0.5), n=30)
    other = evaluated(two, 2, with_values(2.0, 0.5))
    item = run("model", "compare", "digits-vae@1", "digits-vae@2", "-o", "json").json["item"]
    assert [item[side]["evaluation_job_id"] for side in ("first", "second")] == [alike, other]


def test_without_such_a_pair_the_newest_ones_are_shown(two: World, run: Runner) -> None:
    evaluated(two, 1, REPORT)
    newest = evaluated(two, 1, with_values(3.0, 0.5), n=30)
    other = evaluated(two, 2, with_values(2.0, 0.5), n=20)
    item = run("model", "compare", "digits-vae@1", "digits-vae@2", "-o", "json").json["item"]
    assert [item[side]["evaluation_job_id"] for side in ("first", "second")] == [newest, other]


def test_mistakes_get_one_line_and_a_hint(two: World, run: Runner, tmp_path: Path) -> None:
    never = run("model", "compare", "digits-vae@1", "digits-vae@2")
    assert never.code == 3
    assert "model digits-vae@1 was never measured" in never.err
    assert "pixmill submit generate --model digits-vae@1" in never.err
    same = run("model", "compare", "digits-vae", "digits-vae@2")
    assert same.code != 0
    assert "'digits-vae' and 'digits-vae@2' are both digits-vae@2" in same.err
    assert run("model", "compare", "digits-vae@1", "digits").code == 3
    waiting = two.train(name="other", hold=True)
    assert f"train job {waiting} has no model yet" in run("model", "compare", "digits-vae", f"job:{waiting}").err
    for version in (1, 2):
        evaluated(two, version, REPORT)
    for path in two.root.rglob("evaluation.json"):
        path.write_text("{}", encoding="utf-8")
    assert "not an evaluation report" in run("model", "compare", "digits-vae@1", "digits-vae@2").err
    for path in two.root.rglob("evaluation.json"):
        path.write_text(REPORT.to_json(), encoding="utf-8")
    unwritable = run("model", "compare", "digits-vae@1", "digits-vae@2", "--out", tmp_path / "none" / "page.html")
    assert "cannot be written" in unwritable.err

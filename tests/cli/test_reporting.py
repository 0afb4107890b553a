from pathlib import Path

import numpy as np
import pytest

from client.jobreport.building import build_report, write_report
from db.leases import give_back
from imagemodels.evaluation.report import ClassMeasure, Control, EvaluationReport, Metric
from pages.jsonlines import read_json_lines
from pages.trainhistory import read_history
from pixmill.errors import CorruptFile, NotFound, StorageError
from pixmill.states import FailureReason
from reports.data import JobReport
from storage.pictures import contact_sheet, save_png
from tests import rows
from tests.cli.world import World


def report_of(world: World, job_id: int) -> JobReport:
    with world.database.read() as session:
        return build_report(session, world.settings, job_id)


def save_grid(path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
    save_png(path, contact_sheet(images))


def test_a_train_job_that_was_resumed_shows_one_curve(world: World) -> None:
    worker = world.worker()
    job_id = world.train(name="digits-vae")
    first = world.claim(worker)
    for images in (1000, 2000, 3000):
        world.write_lines(first, "losses.jsonl", {"images": images, "losses": {"kl": images / 1000}, "rate": 10.0})
        save_grid(world.root / first.folder / f"samples-{images:09d}.png")
    world.write_lines(first, "quality.jsonl", {"images": 2000, "value": 0.5, "best": True})
    save_grid(world.root / first.folder / "reals.png")
    world.database.transact(lambda session: give_back(session, first))
    second = world.claim(worker)
    for images in (2500, 3500):
        world.write_lines(second, "losses.jsonl", {"images": images, "losses": {"kl": -1.0}, "rate": 20.0})
    save_grid(world.root / second.folder / "samples-000003000.png")
    world.write_lines(second, "quality.jsonl", {"images": 3000, "value": 0.25, "best": True})
    world.succeed_training(second)

    report = report_of(world, job_id)

    assert report.train is not None
    (kl,) = report.train.losses
    assert (kl.name, list(kl.images_seen), list(kl.values)) == ("kl", [1000, 2000, 2500, 3500], [1.0, 2.0, -1.0, -1.0])
    assert report.train.quality is not None
    assert report.train.quality.name == "kd@cnn-1a2b3c4d"
    assert report.train.quality.best() == (3000, 0.25)
    assert [grid.images_seen for grid in report.train.grids] == [1000, 2000, 3000]
    assert report.train.grids[-1].image == world.root / second.folder / "samples-000003000.png"
    assert report.train.reals == world.root / first.folder / "reals.png"
    assert report.train.images_per_second == 20.0
    assert report.train.model["model"] == "digits-vae@1"
    assert [attempt.state for attempt in report.attempts] == ["preempted", "succeeded"]
    assert report.events[0].what == "submit"


def test_a_generate_job_shows_its_data_set(world: World, tmp_path: Path) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generated(worker)

    report = report_of(world, job_id)

    assert report.generate is not None
    section = report.generate
    assert (section.images, section.images_planned, section.shards, section.shards_planned) == (40, 40, 2, 2)
    assert section.counts == {"zero": 20, "one": 20}
    job = rows.job(world.database, job_id)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert section.images_per_second == 40 / (job.finished_at - job.started_at).total_seconds()
    assert section.contact_sheet == world.root / f"outputs/{job_id}/contact-sheet.png"
    assert [row["index"] for row in section.manifest_rows] == list(range(8))
    assert section.model["model"] == "digits-vae@1"
    assert section.verify_hint == f"pixmill output verify {job_id}"
    page = write_report(world.database, world.settings, job_id, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "data:image/webp;base64" in page


def test_an_unfinished_generate_job_shows_what_is_there(world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    report = report_of(world, world.generate("digits-vae"))
    assert report.generate is not None
    assert (report.generate.images, report.generate.output, report.generate.verify_hint) == (0, "", "")


def test_a_table_that_cannot_be_read_is_a_warning(world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generated(worker)
    for path in (world.root / "runs").rglob("shard-000000.parquet"):
        path.write_bytes(b"no table")
    report = report_of(world, job_id)
    assert report.generate is not None
    assert "the first table cannot be read" in report.generate.warnings[0]


def evaluation() -> EvaluationReport:
    controls = (Control("held_out_real", 0.1, 50), Control("training_copies", 0.2, 50), Control("noise", 9.0, 50))
    metrics = (
        Metric("fd@cnn", 1.5, 40, 50, "lower", "distance", controls),
        Metric("usefulness@cnn", 0.7, 40, 50, "higher", "accuracy", (Control("real_training", 0.9, 50),)),
    )
    classes = (ClassMeasure("zero", 9, synthetic_accuracy=0.6, real_accuracy=0.9), ClassMeasure("one", 9))
    return EvaluationReport(
        dataset="digits",
        dataset_fingerprint="f" * 64,
        feature_net="cnn",
        feature_net_digest="d" * 64,
        image_size=8,
        channels=1,
        generated_images=40,
        measured_images=40,
        seed=0,
        metrics=metrics,
        classes=classes,
        confusion=((3, 1), (0, 4)),
        warnings=("few images",),
    )


def evaluated(world: World, text: str) -> int:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.evaluate(world.generated(worker))
    lease = world.claim(worker)
    (world.root / lease.folder / "evaluation.json").write_text(text, encoding="utf-8")
    save_grid(world.root / lease.folder / "neighbours.png")
    files = {"report": f"{lease.folder}/evaluation.json", "neighbours": f"{lease.folder}/neighbours.png"}
    world.succeed(lease, files)
    return job_id


def test_an_evaluation_shows_its_metrics_with_their_controls(world: World, tmp_path: Path) -> None:
    job_id = evaluated(world, evaluation().to_json())

    report = report_of(world, job_id)

    assert report.evaluate is not None
    distance, usefulness = report.evaluate.metrics
    assert (distance.value, distance.floor, distance.copies, distance.ceiling) == (1.5, 0.1, 0.2, 9.0)
    assert (usefulness.value, usefulness.floor, usefulness.ceiling) == (0.7, 0.9, None)
    assert report.evaluate.per_class_accuracy == {"zero": 0.6}
    assert report.evaluate.confusion is not None
    assert report.evaluate.confusion.classes == ["zero", "one"]
    assert report.evaluate.warnings == ("few images",)
    assert report.evaluate.neighbour_sheet is not None
    page = write_report(world.database, world.settings, job_id, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "fd@cnn" in page


def test_a_damaged_evaluation_is_refused(world: World) -> None:
    job_id = evaluated(world, "{}")
    with pytest.raises(CorruptFile, match="not an evaluation report"):
        report_of(world, job_id)


def test_a_failed_job_has_a_report_with_its_reason(world: World, tmp_path: Path) -> None:
    job_id = world.train()
    world.fail(world.claim(world.worker()), FailureReason.NON_FINITE_LOSS, "loss is <NaN>")
    page = write_report(world.database, world.settings, job_id, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "NaNLoss" in page
    assert "<NaN>" not in page


def test_a_report_of_nothing_is_not_found(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        write_report(world.database, world.settings, 9, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_report_that_cannot_be_written_says_where(world: World, tmp_path: Path) -> None:
    job_id = world.train()
    with pytest.raises(StorageError, match="cannot be written"):
        write_report(world.database, world.settings, job_id, tmp_path / "none" / "page.html")


def test_a_history_without_files_is_empty(tmp_path: Path) -> None:
    history = read_history([tmp_path, tmp_path / "none"], None)
    assert (history.losses, history.quality, history.grids, history.reals) == ([], None, [], None)
    assert history.images_seen is None


def test_the_quality_of_a_classifier_is_better_when_higher(tmp_path: Path) -> None:
    (tmp_path / "quality.jsonl").write_text('{"images": 1, "value": 0.5}\n{"images": 2, "value": 0.9}\n')
    quality = read_history([tmp_path], "accuracy").quality
    assert quality is not None
    assert quality.best() == (2, 0.9)


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "losses.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a":')
    assert list(read_json_lines(path)) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("line", ["{", "[1]", "3"])
def test_a_line_that_is_no_object_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "losses.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n')
    with pytest.raises(CorruptFile, match="line 2"):
        list(read_json_lines(path))

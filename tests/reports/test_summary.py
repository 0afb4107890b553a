from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reports.data import EvaluateSection, GenerateSection, Grid, JobReport, MetricLine, Series, TrainSection
from reports.summary import images_seen, key_figures, run_seconds, verdict, way_to_noise
from tests.reports import examples

START = datetime(2026, 3, 14, tzinfo=UTC)


def job(kind: str = "train", state: str = "succeeded", seconds: float | None = 90, **others: Any) -> JobReport:
    end = None if seconds is None else START + timedelta(seconds=seconds)
    return JobReport(
        job_id=1, name="a", kind=kind, state=state, created_at=START, started_at=START, finished_at=end, **others
    )


def figures(report: JobReport) -> dict[str, str]:
    return {figure.label: figure.value for figure in key_figures(report)}


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (job(), "Training succeeded after 1 min 30 s."),
        (job(state="failed", reason="NaNLoss."), "Training failed after 1 min 30 s: NaNLoss."),
        (job(kind="generate", state="running", seconds=None), "Generation is still running."),
        (job(kind="evaluate", state="cancelled", seconds=0.2), "Evaluation was cancelled after 200 ms."),
        (job(kind="paint", state="odd"), "Job “paint” is odd."),
    ],
)
def test_the_verdict_says_what_became_of_the_job(report: JobReport, sentence: str) -> None:
    assert verdict(report) == sentence


def test_the_verdict_of_a_training_names_the_best_quality_and_the_warnings() -> None:
    quality = Series(name="kd", images_seen=[1000, 2000, 3000], values=[0.3, 0.1, 0.2], better="lower")
    report = job(train=TrainSection(quality=quality, warnings=["one", "two"]))
    assert verdict(report).endswith("The best kd was 0.100, after 2k images. 2 warnings below.")


def test_the_verdict_of_a_cut_generation_tells_what_is_missing() -> None:
    section = GenerateSection(images=700, images_planned=1000, shards=1, shards_planned=2, size_bytes=7000)
    report = job(kind="generate", state="failed", reason="DiskFull", generate=section)
    assert verdict(report) == "Generation failed after 1 min 30 s: DiskFull. It wrote 700 of 1,000 images in 1 shard."
    assert figures(report)["size"] == "7 kB"


def test_a_generation_that_wrote_nothing_has_figures_too() -> None:
    section = GenerateSection(images=0, images_planned=1000, shards=0, shards_planned=2, size_bytes=0)
    assert figures(job(kind="generate", generate=section))["size"] == "0 B"


def test_the_verdict_of_an_evaluation_places_the_first_metric_between_its_controls() -> None:
    assert "fd@cnn-1a2b3c4d is 8.31 over 5,000 images, 0.84% of the way from real images to noise." in verdict(
        examples.evaluate_report()
    )


def test_a_metric_no_worse_than_its_floor_is_as_good_as_real() -> None:
    metric = MetricLine(name="fd", value=0.5, n=100, better="lower", floor=0.6, ceiling=9.0)
    report = job(kind="evaluate", evaluate=EvaluateSection(metrics=[metric]))
    assert verdict(report).endswith("fd is 0.500 over 100 images, as good as real images.")


@pytest.mark.parametrize(
    ("value", "floor", "ceiling", "share"),
    [(1.0, 0.0, 4.0, 0.25), (0.75, 1.0, 0.0, 0.25), (1.0, None, 4.0, None), (1.0, 2.0, 2.0, None)],
)
def test_the_way_to_noise_needs_two_different_controls(
    value: float, floor: float | None, ceiling: float | None, share: float | None
) -> None:
    metric = MetricLine(name="m", value=value, n=1, better="lower", floor=floor, ceiling=ceiling)
    assert way_to_noise(metric) == share


def test_the_weakest_class_is_a_key_figure() -> None:
    assert figures(examples.evaluate_report())["weakest class"] == "79%"


def test_attempts_are_told_when_there_was_more_than_one() -> None:
    report = examples.train_report(points=10, frames=1)
    assert figures(report)["attempts"] == "2"
    assert "attempts" not in figures(replace(report, attempts=report.attempts[:1]))


def test_images_seen_come_from_the_furthest_curve_or_grid_if_not_told() -> None:
    grid = Grid(images_seen=500, image=examples.noisy_grid(0.5))
    line = Series(name="loss", images_seen=[100, 400], values=[1, 2])
    empty = Series(name="none", images_seen=[], values=[])
    assert images_seen(TrainSection(losses=[line, empty], grids=[grid])) == 500
    assert images_seen(TrainSection(images_seen=7, grids=[grid])) == 7
    assert images_seen(TrainSection()) is None


def test_a_job_that_has_not_ended_has_no_run_time() -> None:
    assert run_seconds(job(seconds=None)) is None

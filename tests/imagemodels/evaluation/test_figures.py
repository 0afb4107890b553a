"""Figures of predictors, codecs and classifiers under names that say what they are of."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from imagemodels.evaluation.comparison import Measurement, compare
from imagemodels.evaluation.figures import accuracy_metric, rate_metrics, sequence_metrics
from imagemodels.evaluation.rates import Rate
from imagemodels.evaluation.report import Metric
from imagemodels.evaluation.sequences import SequenceReport, StepFigures

MODEL = StepFigures(mse=(0.25, 0.5), psnr=(6.0, None), ssim=(0.75, 0.5))
COPIES = StepFigures(mse=(0.5, 1.0), psnr=(3.0, 1.0), ssim=(0.5, 0.0))
MEANS = StepFigures(mse=(0.75, 0.25), psnr=(2.0, 5.0), ssim=(0.25, 0.125))
REPORT = SequenceReport(sequences=256, given_frames=10, model=MODEL, copy_last=COPIES, pixel_mean=MEANS)


def test_every_predicted_frame_has_its_rows_and_the_mean_comes_first() -> None:
    found = sequence_metrics(REPORT)
    assert [(metric.name, metric.value) for metric in found] == [
        ("mse@10+1..2", 0.375),
        ("psnr@10+1..2", (6.0 + 100.0) / 2),
        ("ssim@10+1..2", 0.625),
        ("mse@10+1", 0.25),
        ("psnr@10+1", 6.0),
        ("ssim@10+1", 0.75),
        ("mse@10+2", 0.5),
        ("psnr@10+2", 100.0),
        ("ssim@10+2", 0.5),
    ]
    last = found[-1]
    assert (last.control("copy_last"), last.control("pixel_mean"), last.n, last.better) == (0.0, 0.125, 256, "higher")
    assert (found[0].control("copy_last"), found[0].better) == (0.75, "lower")
    assert "predicted frame 2, after 10 given ones" in last.meaning
    assert [Metric.from_dict(asdict(metric)) for metric in found] == list(found)


def test_a_codec_stands_beside_png_and_the_format_of_its_size() -> None:
    own = Rate("codec@1", 0.5, None, 0.875, 9)
    png, webp = Rate("PNG", 2.0, None, 1.0, 9), Rate("WebP 0", 0.625, 23.0, 0.75, 9)
    bits, psnr, ssim = rate_metrics(own, [png, webp], webp, "held_out")
    assert (bits.name, bits.value, bits.control("png"), bits.control("nearest_format")) == (
        "bits_per_pixel@held_out",
        0.5,
        2.0,
        0.625,
    )
    assert (psnr.value, psnr.control("png"), psnr.control("nearest_format")) == (100.0, 100.0, 23.0)
    assert (ssim.name, ssim.value, ssim.better, ssim.n) == ("ssim@held_out", 0.875, "higher", 9)
    assert "nearest in size is WebP 0" in psnr.meaning


def test_an_accuracy_stands_beside_the_commonest_class() -> None:
    found = accuracy_metric(np.array([[5, 1], [2, 2]]))
    assert (found.value, found.n, found.control("commonest_class")) == (0.7, 10, 0.6)
    assert found.standard_error == pytest.approx((0.7 * 0.3 / 10) ** 0.5)


def measured(metrics: tuple[Metric, ...]) -> Measurement:
    return Measurement(dataset="d", dataset_fingerprint="f", measured_images=9, metrics=metrics)


def test_figures_are_compared_frame_by_frame_and_only_after_as_many_given_ones() -> None:
    first = measured(sequence_metrics(REPORT))
    worse = measured(sequence_metrics(replace(REPORT, model=COPIES)))
    assert [row.verdict for row in compare(first, worse).metrics] == ["first"] * 9
    fewer = measured(sequence_metrics(replace(REPORT, given_frames=5)))
    assert {row.verdict for row in compare(first, fewer).metrics} == {None}


def test_compressed_training_images_are_not_compared_with_held_out_ones() -> None:
    rate = Rate("a", 1.0, 30.0, 1.0, 9)
    sides = [measured(rate_metrics(rate, [rate], rate, part)) for part in ("all", "held_out")]
    assert {row.verdict for row in compare(*sides).metrics} == {None}

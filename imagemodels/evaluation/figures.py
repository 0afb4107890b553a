"""The figures of predictors, codecs and classifiers as named metrics, each beside its controls."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from imagemodels.evaluation.fidelity import HIGHEST_PSNR
from imagemodels.evaluation.rates import Rate
from imagemodels.evaluation.report import Better, Control, Metric
from imagemodels.evaluation.restorations import RestorationReport
from imagemodels.evaluation.sequences import SequenceReport, StepFigures
from imagemodels.evaluation.usefulness import accuracy

Measure = Literal["mse", "psnr", "ssim"]

MEASURES: dict[Measure, tuple[Better, str]] = {
    "mse": ("lower", "mean squared error of pixels from 0 to 1"),
    "psnr": ("higher", "PSNR in dB, peak 1, of that error"),
    "ssim": ("higher", "structural similarity"),
}


def sequence_metrics(report: SequenceReport) -> tuple[Metric, ...]:
    """Return mse, psnr and ssim, first as means over all predicted frames, then of each frame.

    A name ends in the frames given and the frame predicted: ``ssim@10+3`` is of the third after ten given ones, and
    ``ssim@10+1..10`` the mean over the first ten. PSNR without an error counts HIGHEST_PSNR.
    """
    steps = len(report.model.mse)
    places = [f"1..{steps}", *(str(step) for step in range(1, steps + 1))]
    return tuple(
        _sequence_metric(report, measure, place, number - 1 if number else None)
        for number, place in enumerate(places)
        for measure in MEASURES
    )


def _sequence_metric(report: SequenceReport, measure: Measure, place: str, step: int | None) -> Metric:
    better, meaning = MEASURES[measure]
    frames = "mean over the predicted frames" if step is None else f"predicted frame {step + 1}"
    count = report.sequences
    return Metric(
        name=f"{measure}@{report.given_frames}+{place}",
        value=_figure(report.model, measure, step),
        n=count,
        reference_n=count,
        better=better,
        meaning=f"{meaning}; {frames}, after {report.given_frames} given ones",
        controls=(
            Control("copy_last", _figure(report.copy_last, measure, step), count),
            Control("pixel_mean", _figure(report.pixel_mean, measure, step), count),
        ),
    )


def _figure(figures: StepFigures, measure: Measure, step: int | None) -> float:
    values = [HIGHEST_PSNR if value is None else value for value in getattr(figures, measure)]
    return float(np.mean(values)) if step is None else float(values[step])


def rate_metrics(own: Rate, references: Sequence[Rate], nearest: Rate, part: str) -> tuple[Metric, ...]:
    """Return bits per pixel, psnr and ssim of compressed images, named after the part of the data that they are.

    Controls are the same of PNG, the first of the references, and of the reference whose files are nearest in size.
    """
    png = references[0]
    kinds: dict[str, tuple[Better, str]] = {
        "bits_per_pixel": ("lower", "of whole files with their headers"),
        "psnr": ("higher", "in dB, peak 255; no error counts 100"),
        "ssim": MEASURES["ssim"],
    }
    return tuple(
        Metric(
            name=f"{name}@{part}",
            value=_of_rate(own, name),
            n=own.n,
            reference_n=own.n,
            better=better,
            meaning=f"{meaning}; the format nearest in size is {nearest.name}",
            controls=(
                Control("png", _of_rate(png, name), png.n),
                Control("nearest_format", _of_rate(nearest, name), nearest.n),
            ),
        )
        for name, (better, meaning) in kinds.items()
    )


def _of_rate(rate: Rate, name: str) -> float:
    value = getattr(rate, name)
    return HIGHEST_PSNR if value is None else float(value)


def restoration_metrics(report: RestorationReport) -> tuple[Metric, ...]:
    """Return psnr and ssim of restored images, named after the part of the data that they are.

    The control is the same of the damaged images.
    """
    part = "held_out" if report.held_out else "trained_on"
    kinds: dict[Literal["psnr", "ssim"], str] = {
        "psnr": "in dB, peak 255; no error counts 100",
        "ssim": MEASURES["ssim"][1],
    }
    return tuple(
        Metric(
            name=f"{name}@{part}",
            value=getattr(report.restored, name),
            n=report.n,
            reference_n=report.n,
            better="higher",
            meaning=f"{meaning}; restored from {report.damage}",
            controls=(Control("damaged", getattr(report.damaged, name), report.n),),
        )
        for name, meaning in kinds.items()
    )


def accuracy_metric(confusion: npt.NDArray[np.int64]) -> Metric:
    """Return a classifier's accuracy on held-out images, of a confusion matrix (K, K), beside the commonest class's."""
    value, count = accuracy(confusion), int(confusion.sum())
    return Metric(
        name="accuracy@held_out",
        value=value,
        n=count,
        reference_n=count,
        better="higher",
        meaning="share of held-out images whose class it tells",
        controls=(Control("commonest_class", float(confusion.sum(1).max() / count), count),),
        standard_error=float(np.sqrt(value * (1.0 - value) / count)),
    )

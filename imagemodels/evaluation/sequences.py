"""How good predicted frames are, step by step, beside two predictions that need no model.

Shapes: N sequences, G given frames, T predicted frames, S side in pixels, C channels.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagemodels.data.moving import SequenceDataset
from imagemodels.evaluation.fidelity import PEAK, ssim
from imagemodels.prediction import Predictor

Frames = NDArray[np.uint8]

QUICK_SEQUENCES = 64  # held-out ones that measure a network in training
MEAN_SEQUENCES = 512  # training ones from which the mean image is taken
PART = 64  # sequences in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFigures:
    """What one way to predict reaches at each predicted step.

    mse   mean squared error of pixels in [0, 1], of frames rounded to uint8; lower is better
    psnr  of that mean error, in dB with a peak of 1; None where there is no error
    ssim  mean structural similarity (`fidelity.ssim`); higher is better
    """

    mse: tuple[float, ...]
    psnr: tuple[float | None, ...]
    ssim: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceReport:
    """The figures of a model and of its controls on the same held-out sequences."""

    sequences: int
    given_frames: int
    model: StepFigures
    copy_last: StepFigures  # the last given frame, again and again
    pixel_mean: StepFigures  # the mean training frame, always

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SequenceReport":
        """Inverse of `to_json`; raises KeyError or TypeError for anything else."""
        ways = {way: _figures(values[way]) for way in ("model", "copy_last", "pixel_mean")}
        return cls(sequences=values["sequences"], given_frames=values["given_frames"], **ways)


def evaluate_sequences(
    predictor: Predictor, data: SequenceDataset, *, frames: int, count: int, given: int | None = None
) -> SequenceReport:
    """Judge predictions of ``frames`` frames on the first ``count`` held-out sequences.

    ``given`` frames are known, by default as many as in training. Memory stays flat whatever the count.
    """
    given = given or predictor.given_frames
    sums = {way: _Sums(frames) for way in ("model", "copy_last", "pixel_mean")}
    mean = mean_frame(data, given + frames)
    for part in _held_out(data, count, given + frames):
        known, truth = part[:, :given], part[:, given:]
        sums["model"].add(truth, predictor.predict(known, frames))
        sums["copy_last"].add(truth, np.repeat(known[:, -1:], frames, axis=1))
        sums["pixel_mean"].add(truth, np.broadcast_to(mean, truth.shape))
    figures = {way: found.figures() for way, found in sums.items()}
    return SequenceReport(sequences=count, given_frames=given, **figures)


def held_out_error(predictor: Predictor, data: SequenceDataset, frames: int) -> float:
    """Return the mean squared error, of pixels in [0, 1], over all predicted steps of a few held-out sequences.

    ``frames`` is the length of a sequence, those given included.
    """
    given = predictor.given_frames
    sums = _Sums(frames - given, with_likeness=False)
    for part in _held_out(data, QUICK_SEQUENCES, frames):
        sums.add(part[:, given:], predictor.predict(part[:, :given], frames - given))
    return float(np.mean(sums.figures().mse))


def strips(predictor: Predictor, data: SequenceDataset, frames: int, images: int) -> Frames:
    """Return a grid of ``frames`` columns as images (M, S, S, C): a held-out sequence, and below it its prediction.

    As many sequences as fit ``images``, at least one; the given frames stand in both rows.
    """
    given = predictor.given_frames
    count = max(1, images // (2 * frames))
    truth = data.sequences(np.arange(count), frames, held_out=True)
    predicted = np.concatenate((truth[:, :given], predictor.predict(truth[:, :given], frames - given)), axis=1)
    pairs = np.stack((truth, predicted), axis=1)  # (N, 2, T, S, S, C)
    return pairs.reshape(-1, *truth.shape[2:])


def mean_frame(data: SequenceDataset, frames: int) -> Frames:
    """Return the mean of every pixel over training sequences of so many frames, uint8 (S, S, C)."""
    total = np.zeros((data.image_size, data.image_size, data.channels))
    for first in range(0, MEAN_SEQUENCES, PART):
        part = data.sequences(np.arange(first, first + PART), frames, held_out=False)
        total += part.sum((0, 1), dtype=np.int64)
    return np.rint(total / (MEAN_SEQUENCES * frames)).astype(np.uint8)


def _held_out(data: SequenceDataset, count: int, frames: int) -> Iterator[Frames]:
    for first in range(0, count, PART):
        yield data.sequences(np.arange(first, min(first + PART, count)), frames, held_out=True)


class _Sums:
    """Errors and similarities of each step, added up over sequences."""

    def __init__(self, steps: int, *, with_likeness: bool = True) -> None:
        self._errors = np.zeros(steps)
        self._likenesses = np.zeros(steps)
        self._count = 0
        self._with_likeness = with_likeness

    def add(self, truth: Frames, predicted: Frames) -> None:
        """Add sequences (N, T, S, S, C)."""
        differences = truth.astype(np.float64) - predicted
        self._errors += np.square(differences / PEAK).mean((2, 3, 4)).sum(0)
        self._count += len(truth)
        if self._with_likeness:
            likenesses = ssim(_tensor(truth), _tensor(predicted)).numpy()
            self._likenesses += likenesses.reshape(truth.shape[:2]).sum(0)

    def figures(self) -> StepFigures:
        """The means."""
        errors = (self._errors / self._count).tolist()
        return StepFigures(
            mse=tuple(errors),
            psnr=tuple(-10.0 * math.log10(error) if error else None for error in errors),
            ssim=tuple((self._likenesses / self._count).tolist()),
        )


def _tensor(frames: Frames) -> Tensor:
    """Each frame on its own: (N · T, C, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(frames)).flatten(0, 1).permute(0, 3, 1, 2)


def _figures(values: Mapping[str, Any]) -> StepFigures:
    return StepFigures(mse=tuple(values["mse"]), psnr=tuple(values["psnr"]), ssim=tuple(values["ssim"]))

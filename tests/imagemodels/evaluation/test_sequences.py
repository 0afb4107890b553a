import json
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import gaussian_filter

from imagemodels.data.moving import SequenceDataset, load_sequences
from imagemodels.evaluation.sequences import SequenceReport, evaluate_sequences, held_out_error, mean_frame, strips
from imagemodels.networks.sequence import SequencePredictor
from imagemodels.networks.sequence_specs import SequenceSpec
from imagemodels.prediction import Predictor
from imagemodels.runtime import Runtime

Images = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def data() -> SequenceDataset:
    return load_sequences("moving:digits", image_size=16)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(3)
    network = SequencePredictor(SequenceSpec(image_size=16, channels=1, width=4, layers=1, given_frames=3))
    return Predictor(network, Runtime(threads=1))


def likeness(first: Images, second: Images) -> float:
    """SSIM as in section III of the paper, by scipy's Gaussian filter with a radius of five pixels."""
    x, y = first.astype(np.float64), second.astype(np.float64)

    def blurred(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        filtered: npt.NDArray[np.float64] = gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]
        return filtered

    mu_x, mu_y = blurred(x), blurred(y)
    var_x, var_y = blurred((x - 100) ** 2) - (mu_x - 100) ** 2, blurred((y - 100) ** 2) - (mu_y - 100) ** 2
    cov = blurred((x - 100) * (y - 100)) - (mu_x - 100) * (mu_y - 100)
    c1, c2 = 2.55**2, 7.65**2
    luminance = (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
    structure = (2 * cov + c2) / (var_x + var_y + c2)
    return float((luminance * structure).mean())


def test_the_figures_are_those_of_each_step(data: SequenceDataset, predictor: Predictor) -> None:
    report = evaluate_sequences(predictor, data, frames=4, count=70)
    truth = data.sequences(np.arange(70), 7, held_out=True)
    ways = {
        "model": predictor.predict(truth[:, :3], 4),
        "copy_last": np.stack([truth[:, 2]] * 4, axis=1),
        "pixel_mean": np.broadcast_to(mean_frame(data, 7), (70, 4, 16, 16, 1)),
    }
    for way, predicted in ways.items():
        figures = getattr(report, way)
        for step in range(4):
            apart = truth[:, 3 + step].astype(float) / 255 - predicted[:, step].astype(float) / 255
            assert figures.mse[step] == pytest.approx(np.mean(apart**2))
            assert figures.psnr[step] == pytest.approx(10 * math.log10(1 / np.mean(apart**2)))
            alike = [likeness(truth[i, 3 + step, :, :, 0], predicted[i, step, :, :, 0]) for i in range(70)]
            assert figures.ssim[step] == pytest.approx(np.mean(alike), abs=1e-6)
    assert (report.sequences, report.given_frames) == (70, 3)


def test_the_mean_frame_is_the_best_of_all_that_never_change(data: SequenceDataset) -> None:
    shown = data.sequences(np.arange(512), 5, held_out=False).astype(np.float64)
    assert np.abs(mean_frame(data, 5) - shown.mean((0, 1))).max() <= 0.5


def test_a_report_survives_json(data: SequenceDataset, predictor: Predictor) -> None:
    report = evaluate_sequences(predictor, data, frames=2, count=3)
    assert SequenceReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_the_measure_in_training_is_the_mean_error_of_the_predicted_steps(
    data: SequenceDataset, predictor: Predictor
) -> None:
    report = evaluate_sequences(predictor, data, frames=4, count=64)
    assert held_out_error(predictor, data, 7) == pytest.approx(np.mean(report.model.mse))


def test_strips_show_the_truth_above_the_prediction(data: SequenceDataset, predictor: Predictor) -> None:
    rows = strips(predictor, data, 6, 30).reshape(2, 2, 6, 16, 16, 1)
    assert np.array_equal(rows[:, 0], data.sequences(np.arange(2), 6, held_out=True))
    assert np.array_equal(rows[:, 0, :3], rows[:, 1, :3])
    assert np.array_equal(rows[:, 1, 3:], predictor.predict(rows[:, 0, :3], 3))

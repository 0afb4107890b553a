from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import imagemodels as im
from imagemodels.card import Metadata
from imagemodels.errors import ConfigError
from imagemodels.export import load_model, save_model
from imagemodels.networks.sequence import SequencePredictor
from imagemodels.networks.sequence_specs import Cell, SequenceSpec
from imagemodels.pixels import to_uint8
from imagemodels.prediction import Predictor
from imagemodels.runtime import Runtime

RUNTIME = Runtime(threads=1)


def new_predictor(cell: Cell = "stlstm", **changes: Any) -> Predictor:
    torch.manual_seed(0)
    spec = SequenceSpec(image_size=9, channels=3, width=4, layers=2, given_frames=3, cell=cell)
    return Predictor(SequencePredictor(spec), RUNTIME, **changes)


def given(count: int, frames: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, (count, frames, 9, 9, 3), dtype=np.uint8)


def test_predictions_are_those_of_the_network() -> None:
    predictor = new_predictor()
    frames = torch.from_numpy(given(8)).permute(0, 1, 4, 2, 3) / 127.5 - 1
    expected = to_uint8(predictor.network(frames, 6)[:, -4:]).permute(0, 1, 3, 4, 2).numpy()
    found = predictor.predict(given(8), 4)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert found.std() > 0


def test_a_prediction_depends_on_its_own_sequence_alone() -> None:
    predictor = new_predictor()
    whole = predictor.predict(given(19), 5)
    assert np.array_equal(predictor.predict(given(19)[17:18], 5), whole[17:18])
    assert np.array_equal(predictor.predict(given(19), 2), whole[:, :2])


@pytest.mark.parametrize("cell", ["convlstm", "stlstm"])
def test_a_predictor_comes_back_with_the_same_frames_and_identity(tmp_path: Path, cell: Cell) -> None:
    original = new_predictor(cell)
    save_model(tmp_path, original, Metadata(preset="predrnn", images_seen=1, seed=0))
    loaded = load_model(tmp_path, RUNTIME)
    assert isinstance(loaded, Predictor)
    assert loaded.digest == original.digest
    assert np.array_equal(loaded.predict(given(2), 3), original.predict(given(2), 3))


@pytest.mark.parametrize(
    ("frames", "count", "message"),
    [
        (given(2)[..., :1], 1, r"uint8 of shape \(N, T, 9, 9, 3\)"),
        (given(2).astype(np.float32), 1, "got float32"),
        (given(2)[:, :0], 1, "T of at least 1"),
        (given(2), 0, "at least one frame can be predicted, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(
    frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], count: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        new_predictor().predict(frames, count)


def test_sequences_are_learnt_in_a_line() -> None:
    data = im.load_sequences("moving:digits", image_size=8)
    model = im.train("convlstm", data, images=32, width=4, given_frames=2, predicted_frames=2)
    assert isinstance(model, im.Predictor)
    assert model.predict(data.sequences(np.arange(3), 2, held_out=True), 5).shape == (3, 5, 8, 8, 1)
    with pytest.raises(ConfigError, match="this model is a predictor: it makes no images"):
        im.sample(model, count=1)

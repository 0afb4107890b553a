from dataclasses import replace

import numpy as np
import pytest

from imagemodels.data import load_dataset
from imagemodels.duplicates import TrainingImages, levels, nearest_squares
from imagemodels.evaluation.memorisation import memorisation_measure

DIGITS = load_dataset("digits")
TRAINING = DIGITS.images[DIGITS.train_indices]
HELD_OUT = DIGITS.images[DIGITS.test_indices]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 16, 40])
def test_squares_are_exact_whatever_is_compared_at_once(side: int, channels: int) -> None:
    random = np.random.default_rng(0)
    images = random.choice(np.array([0, 1, 254, 255], np.uint8), (40, side, side, channels))
    rows = levels(images)
    assert np.array_equal(rows, np.rint(rows))
    assert (rows.min(), rows.max(), rows.shape[1] <= 768) >= (-128, 1, True)
    whole = rows.astype(np.int64)
    squares = ((whole[:, None] - whole[None]) ** 2).sum(2)
    assert np.array_equal(nearest_squares(rows, rows[5:]), squares[:, 5:].min(1))
    assert np.array_equal(nearest_squares(rows[7:8], rows[5:]), squares[7:8, 5:].min(1))
    np.fill_diagonal(squares, 2**40)
    assert np.array_equal(nearest_squares(rows, rows, np.arange(40)), squares.min(1))


def test_the_very_same_pixels_are_found() -> None:
    changed = TRAINING[:20].copy()
    changed[::2, 0, 0, 0] ^= 1
    assert TrainingImages(DIGITS, near=False).have(changed).tolist() == [False, True] * 10


def test_near_is_what_the_evaluation_calls_near() -> None:
    random = np.random.default_rng(0)
    shaken = np.clip(TRAINING[:100] + random.integers(-12, 13, (100, 8, 8, 1)), 0, 255).astype(np.uint8)
    known = TrainingImages(DIGITS, near=True)
    found = memorisation_measure(TRAINING, HELD_OUT, np.concatenate((shaken, HELD_OUT)))
    assert known.near_distance == pytest.approx(found.near_distance, rel=0.02)
    near = known.have(np.concatenate((shaken, HELD_OUT)))
    assert near[:100].all()
    assert near.sum() == pytest.approx(found.near_copies, abs=1)
    assert near[100:].mean() < 0.02  # of images that are new in truth


def test_without_held_out_images_the_training_images_are_the_yardstick() -> None:
    everything = replace(DIGITS, train_indices=np.arange(len(DIGITS)), test_indices=np.arange(0))
    assert TrainingImages(everything, near=True).near_distance == pytest.approx(
        TrainingImages(DIGITS, near=True).near_distance, rel=0.3
    )

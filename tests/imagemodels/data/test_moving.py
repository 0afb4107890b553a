from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imagemodels.data import (
    DatasetMissing,
    PackedStore,
    SequenceDataset,
    UnknownDataset,
    check_dataset_name,
    load_dataset,
    load_sequences,
)
from imagemodels.data.dataset import dataset_from_arrays
from imagemodels.data.moving import moving_dataset, object_side, places
from imagemodels.errors import DataError
from tests.imagemodels.data.pictures import write_class_folders

SIDE = 16


@cache
def digits(**changes: Any) -> SequenceDataset:
    return load_sequences("moving:digits", image_size=SIDE, **changes)


def test_a_sequence_depends_on_seed_split_and_number_alone() -> None:
    data = digits()
    whole = data.sequences(np.arange(10), 6, held_out=False)
    assert whole.shape == (10, 6, SIDE, SIDE, 1)
    assert whole.dtype == np.uint8
    again = digits().sequences(np.array([7, 2, 2]), 6, held_out=False)
    assert np.array_equal(again, whole[[7, 2, 2]])
    for others in (
        data.sequences(np.arange(10), 6, held_out=False, seed=1),
        data.sequences(np.arange(10), 6, held_out=True),
        data.sequences(np.arange(10, 20), 6, held_out=False),
    ):
        assert all(not np.array_equal(mine, other) for mine, other in zip(whole, others, strict=True))


def test_a_shorter_sequence_is_the_beginning_of_a_longer_one() -> None:
    long = digits().sequences(np.arange(5), 12, held_out=True)
    assert np.array_equal(digits().sequences(np.arange(5), 4, held_out=True), long[:, :4])


def test_each_split_shows_its_own_images_alone() -> None:
    """Images of one brightness each: whatever is seen in a frame tells which images it shows."""
    levels = np.arange(100, 200, dtype=np.uint8)
    objects = dataset_from_arrays("levels", np.broadcast_to(levels[:, None, None, None], (100, 14, 14, 1)))
    data = moving_dataset(objects, 32)
    for held_out, members in ((True, objects.test_indices), (False, objects.train_indices)):
        seen = set(np.unique(data.sequences(np.arange(200), 2, held_out=held_out)).tolist()) - {0}
        assert seen <= set(levels[members].tolist())
        assert len(seen) > 0.8 * len(members)


def bouncing(start: float, velocity: float, room: int, frames: int) -> list[float]:
    """The path of a ball between two walls, in a thousand small steps a frame."""
    at, path = start, [start]
    for _ in range(frames - 1):
        for _ in range(1000):
            at += velocity / 1000
            if not 0 <= at <= room:
                velocity, at = -velocity, (0.0 if at < 0 else 2.0 * room) - at
        path.append(at)
    return path


def test_objects_fly_straight_and_bounce_off_the_borders() -> None:
    draws = np.random.default_rng(0).random((6, 2, 4))
    found = places(draws, 20, 64, 36)
    assert found.min() >= 0
    assert found.max() <= 36
    for number, each in np.ndindex(6, 2):
        top, left, turn, haste = draws[number, each]
        speed, angle = 3 + 2 * haste, 2 * np.pi * turn
        for axis, (start, share) in enumerate([(top, np.sin(angle)), (left, np.cos(angle))]):
            expected = bouncing(start * 36, speed * share, 36, 20)
            assert np.abs(found[number, :, each, axis] - expected).max() < 0.51  # whole pixels


def test_where_objects_overlap_the_lighter_pixel_wins() -> None:
    data = digits()
    images, chosen, corners = data._moves(np.arange(30), 5, True, data.seed)
    for number, frames in enumerate(data.sequences(np.arange(30), 5, held_out=True)):
        for frame, pixels in enumerate(frames):
            drawn: npt.NDArray[np.uint8] = np.zeros((2, SIDE, SIDE, 1), dtype=np.uint8)
            for each in range(2):
                (top, left), side = corners[number, frame, each], images.shape[1]
                drawn[each, top : top + side, left : left + side] = images[chosen[number, each]]
            assert np.array_equal(pixels, drawn.max(0))


@pytest.mark.parametrize(("image_size", "side"), [(8, 4), (28, 12), (64, 28), (96, 42), (256, 112)])
def test_objects_have_the_same_share_of_every_canvas(image_size: int, side: int) -> None:
    assert object_side(image_size) == side
    data = load_sequences("moving:digits", image_size=image_size)
    assert data.objects.images.shape[1:] == (side, side, 1)
    assert data.sequences(np.array([3]), 3, held_out=True).shape == (1, 3, image_size, image_size, 1)


def test_images_of_a_folder_move_in_colour(tmp_path: Path) -> None:
    folder = write_class_folders(tmp_path / "pets", {"dog": 6, "cat": 6})
    data = load_sequences(f"moving:folder:{folder}", image_size=24, channels=3)
    frames = data.sequences(np.arange(4), 5, held_out=False)
    assert frames.shape == (4, 5, 24, 24, 3)
    assert data.name == f"moving:folder:{folder}"
    assert (frames[..., 0] != frames[..., 1]).any()


def test_packed_images_move_as_those_in_memory(tmp_path: Path) -> None:
    folder = write_class_folders(tmp_path / "pets", {"dog": 6, "cat": 6})
    for side, is_packed in ((24, True), (12, False)):  # objects of 5 pixels are made of images of 8
        plain = load_sequences(f"moving:folder:{folder}", image_size=side)
        found = load_sequences(f"moving:folder:{folder}", image_size=side, packed=PackedStore(tmp_path / "store", 100))
        assert (found.objects.is_packed, found.fingerprint) == (is_packed, plain.fingerprint)
        one, other = (data.sequences(np.arange(4), 5, held_out=False) for data in (found, plain))
        assert np.array_equal(one, other)
    assert len(list((tmp_path / "store").glob("*/pixels.u8"))) == 2


def test_the_fingerprint_tells_canvas_seed_and_images_apart() -> None:
    prints = [digits().fingerprint, digits(seed=1).fingerprint, load_sequences("moving:digits").fingerprint]
    prints += [digits(channels=3).fingerprint]
    assert len(set(prints)) == 4
    assert digits().fingerprint == prints[0]
    assert digits().describe()["objects"]["images"] == 1797


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("moving:", UnknownDataset, "name that one, such as moving:digits"),
        ("moving:moving:digits", UnknownDataset, "moves the images of another set"),
        ("moving:mnis", UnknownDataset, r"unknown data set 'mnis' \(did you mean 'mnist'\?\)"),
        ("moving:folder:/nowhere", DatasetMissing, "there is no such folder"),
        ("digits", DataError, "is of images, and sequences are needed: write moving:digits"),
    ],
)
def test_other_names_are_refused(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_sequences(name)


def test_names_of_sequences_are_known_and_are_no_images(tmp_path: Path) -> None:
    assert check_dataset_name("moving:digits") == "moving:digits"
    with pytest.raises(DataError, match="is of sequences, and images are needed"):
        load_dataset("moving:digits")


def test_numbers_start_at_zero() -> None:
    with pytest.raises(ValueError, match="start at 0, got -1"):
        digits().sequences(np.array([-1]), 2, held_out=True)

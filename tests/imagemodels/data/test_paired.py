"""Pairs of images from folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagemodels.data import UnknownDataset, check_dataset_name, load_dataset, load_pairs
from imagemodels.data.errors import BadImage, DatasetMissing
from imagemodels.errors import ConfigError, DataError
from imagemodels.presets import options_for_pairs
from imagemodels.runtime import Runtime
from imagemodels.shell import train

NOISE = np.random.default_rng(0).integers(0, 256, (10, 8, 8), dtype=np.uint8)


def save(path: Path, pixels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def in_folders(root: Path) -> Path:
    for number, pixels in enumerate(NOISE):
        save(root / "input" / "a" / f"{number}.png", 255 - pixels)
        save(root / "target" / "a" / f"{number}.bmp", pixels)
    return root


def side_by_side(root: Path) -> Path:
    for number, pixels in enumerate(NOISE):
        save(root / f"{number}.png", np.concatenate((255 - pixels, pixels), axis=1))
    return root


@pytest.mark.parametrize("make", [in_folders, side_by_side])
def test_both_layouts_give_the_same_pairs(make: Callable[[Path], Path], tmp_path: Path) -> None:
    data = load_pairs(f"pairs:{make(tmp_path)}")
    assert data.given.shape == (10, 8, 8, 1)
    assert np.array_equal(data.targets.images[..., 0], NOISE)
    assert np.array_equal(data.given, 255 - data.targets.images)
    assert len(data.targets.test_indices) == 2
    assert load_pairs(f"pairs:{tmp_path}", channels=3, image_size=16).given.shape == (10, 16, 16, 3)
    other = load_pairs(f"pairs:{tmp_path}", image_size=16)
    assert len({data.fingerprint, other.fingerprint}) == 2
    assert np.array_equal(
        other.targets.test_indices, load_pairs(f"pairs:{tmp_path}", image_size=16).targets.test_indices
    )


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            lambda root: (root / "target/a/3.bmp").unlink(),
            DataError,
            r"'a/3' has no partner in 'target' \(10 inputs, 9",
        ),
        (lambda root: save(root / "target/a/x.png", NOISE[0]), DataError, "'a/x' has no partner in 'input'"),
        (lambda root: save(root / "input/a/3.bmp", NOISE[0]), DataError, "two images have one name"),
        (lambda root: (root / "target").rename(root / "other"), DataError, "but no folder 'target' beside it"),
        (lambda root: save(root / "input/a/3.png", NOISE[:2, 0]), DataError, "not of 8 × 8 pixels; give an image size"),
        (lambda root: (root / "input/a/3.png").write_bytes(b"x"), BadImage, "a/3.png: not an image of a known format"),
    ],
)
def test_what_is_no_pair_is_named(
    spoil: Callable[[Path], object], error: type[Exception], message: str, tmp_path: Path
) -> None:
    spoil(in_folders(tmp_path))
    with pytest.raises(error, match=message):
        load_pairs(f"pairs:{tmp_path}")


def test_a_file_that_is_no_two_images_is_named(tmp_path: Path) -> None:
    save(side_by_side(tmp_path) / "3.png", NOISE[0][:, :7])
    with pytest.raises(DataError, match=r"3\.png of 7 × 8 pixels is no two images side by side"):
        load_pairs(f"pairs:{tmp_path}")


def test_names_say_what_is_paired(tmp_path: Path) -> None:
    assert check_dataset_name(f"pairs:{side_by_side(tmp_path)}") == f"pairs:{tmp_path}"
    with pytest.raises(DatasetMissing, match="there is no such folder"):
        check_dataset_name(f"pairs:{tmp_path}/none")
    with pytest.raises(UnknownDataset, match="lacks its path: write pairs:PATH"):
        check_dataset_name("pairs")
    with pytest.raises(UnknownDataset, match="only single images can be moved"):
        check_dataset_name(f"moving:pairs:{tmp_path}")
    with pytest.raises(DataError, match="single images are needed"):
        load_dataset(f"pairs:{tmp_path}")
    with pytest.raises(DataError, match="pairs are needed"):
        load_pairs("digits")


def test_pairs_are_for_models_that_restore_and_do_no_damage_themselves(tmp_path: Path) -> None:
    assert options_for_pairs("pix2pix", {"width": 4}) == {"width": 4, "degradation": "given"}
    with pytest.raises(ConfigError, match="'vae' learns from single images"):
        options_for_pairs("vae", {})
    with pytest.raises(ConfigError, match="degradation 'blur' means nothing"):
        options_for_pairs("conv-ae", {"degradation": "blur"})
    data = load_pairs(f"pairs:{side_by_side(tmp_path)}")
    kinds: dict[str, Any] = {"horizontal_flips": True, "crop": 0.2, "width": 4, "batch_size": 8}
    first, second = (train("conv-ae", data, images=16, runtime=Runtime(threads=1), **kinds) for _ in range(2))
    assert first.digest == second.digest

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixmill.errors import StorageError
from storage.atomic import sha256_file
from storage.pictures import contact_sheet, save_png
from tests.storage.samples import random_images


def test_every_image_stands_in_its_place_with_sharp_pixels() -> None:
    images = random_images(5, 4, 6, 3)
    sheet = np.asarray(contact_sheet(images, columns=3, scale=2, gap=1))
    assert sheet.shape == (1 + 2 * (8 + 1), 1 + 3 * (12 + 1), 3)
    for position, image in enumerate(images):
        top, left = 1 + position // 3 * 9, 1 + position % 3 * 13
        np.testing.assert_array_equal(sheet[top : top + 8 : 2, left : left + 12 : 2], image)
        np.testing.assert_array_equal(sheet[top + 1 : top + 8 : 2, left + 1 : left + 12 : 2], image)


def test_small_images_are_enlarged_and_large_ones_are_not() -> None:
    assert contact_sheet(random_images(1, 28, 28, 1), gap=0).size == (84, 84)
    assert contact_sheet(random_images(1, 200, 200, 1), gap=0).size == (200, 200)


def test_gray_images_make_a_gray_sheet_on_a_neutral_ground() -> None:
    light = contact_sheet(random_images(3, 8, 8, 1), columns=2, gap=4)
    dark = contact_sheet(random_images(3, 8, 8, 1), columns=2, gap=4, dark=True)
    assert light.mode == dark.mode == "L"
    assert light.getpixel((0, 0)) == light.getpixel((light.width - 1, light.height - 1)) == 232
    assert dark.getpixel((0, 0)) == 40


def test_the_sheet_is_about_square_unless_told_otherwise() -> None:
    assert contact_sheet(random_images(16, 28, 28, 1), gap=0).size == (4 * 84, 4 * 84)
    assert contact_sheet(random_images(3, 28, 28, 1), columns=10, gap=0).size == (3 * 84, 84)


def test_captions_are_drawn_below_the_images_and_cut_to_the_tile() -> None:
    images = np.zeros((2, 28, 28, 3), np.uint8)
    plain = contact_sheet(images, columns=1)
    sheet = contact_sheet(images, columns=1, labels=["cat", "a very long name of a class"])
    assert sheet.height > plain.height
    assert sheet.width == plain.width
    band = np.asarray(sheet)[2 + 84 : 2 + 84 + 16]
    assert band.min() < 120
    assert set(np.unique(np.asarray(sheet)[:, :2])) == {232}  # nothing runs over the edge
    assert set(np.unique(np.asarray(sheet)[:, -2:])) == {232}


def test_a_sheet_of_nothing_or_with_too_few_captions_is_refused() -> None:
    with pytest.raises(StorageError, match="of 0 images"):
        contact_sheet(np.empty((0, 8, 8, 3), np.uint8))
    with pytest.raises(StorageError, match="2 images with 1 captions"):
        contact_sheet(random_images(2, 8, 8, 3), labels=["one"])


def test_a_sheet_that_would_fill_the_memory_is_refused_before_it_is_made() -> None:
    images = np.broadcast_to(np.uint8(0), (100_000, 64, 64, 3))
    with pytest.raises(StorageError, match="would have"):
        contact_sheet(images)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_every_pixel(tmp_path: Path, channels: int) -> None:
    sheet = contact_sheet(random_images(4, 10, 10, channels))
    digest = save_png(tmp_path / "sheet.png", sheet)
    assert digest.sha256 == sha256_file(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as opened:
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(sheet))

from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imagemodels.data.decoding import check_channels, check_image_size, check_memory, decode_bytes, resize_array
from imagemodels.data.errors import BadImage
from imagemodels.errors import DataError


def _encode(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def test_pixels_of_the_right_size_come_back_untouched() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(decode_bytes(_encode(Image.fromarray(pixels)), 16, 3), pixels)


def test_sixteen_bit_gray_is_scaled_and_not_clipped() -> None:
    wide = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    decoded = decode_bytes(_encode(Image.fromarray(wide)), 16, 1)[..., 0]
    assert np.array_equal(decoded, np.round(wide / 257).astype(np.uint8))
    assert decode_bytes(_encode(Image.fromarray(wide)), 16, 3).shape == (16, 16, 3)


def test_cmyk_becomes_the_colour_that_it_shows() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    decoded = decode_bytes(_encode(red, "TIFF"), 16, 3)
    assert decoded.reshape(-1, 3).tolist() == [[255, 0, 0]] * 256


def test_a_palette_becomes_its_colours() -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert decode_bytes(_encode(image), 16, 3)[0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 40), (128, 147)])
def test_transparency_is_laid_on_white(alpha: int, expected: int) -> None:
    image = Image.new("LA", (16, 16), (40, alpha))
    assert decode_bytes(_encode(image), 16, 1)[0, 0, 0] == pytest.approx(expected, abs=1)


def test_a_transparent_palette_is_laid_on_white() -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([9, 9, 9])
    assert decode_bytes(_encode(image, transparency=0), 16, 3)[0, 0].tolist() == [255, 255, 255]


def test_exif_orientation_turns_the_image_upright() -> None:
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:8] = 255  # white above black as stored
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    upright = decode_bytes(_encode(Image.fromarray(pixels), exif=exif), 16, 3)
    assert upright[0].max() == 0
    assert upright[-1].min() == 255


def test_the_centre_is_kept_when_an_image_is_not_square() -> None:
    pixels = np.zeros((16, 48), dtype=np.uint8)
    pixels[:, 16:32] = 255
    decoded = decode_bytes(_encode(Image.fromarray(pixels)), 16, 1)
    assert decoded.min() == 255


def test_shrinking_is_antialiased() -> None:
    checkerboard = (np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)
    decoded = decode_bytes(_encode(Image.fromarray(checkerboard)), 16, 1)
    assert np.abs(decoded.astype(int) - 127).max() < 8  # picking single pixels would give 0 or 255


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_bad_image_and_nothing_worse(content: bytes) -> None:
    with pytest.raises(BadImage):
        decode_bytes(content, 8, 3)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_changed_byte_gives_pixels_or_a_bad_image(position: int, value: int) -> None:
    content = bytearray(WHOLE)
    content[position % len(content)] = value
    with suppress(BadImage):
        assert decode_bytes(bytes(content), 8, 3).shape == (8, 8, 3)


WHOLE = _encode(Image.fromarray(np.random.default_rng(3).integers(0, 256, (20, 20, 3), dtype=np.uint8)))


@pytest.mark.parametrize("size", [0, 7, 257, -1])
def test_a_size_that_cannot_be_had_is_refused(size: int) -> None:
    with pytest.raises(DataError, match=f"image size {size} is outside 8 to 256 pixels"):
        check_image_size(size)


def test_other_channels_and_too_much_memory_are_refused() -> None:
    with pytest.raises(DataError, match="2 channels were asked for; give 1"):
        check_channels(2)
    with pytest.raises(DataError, match=r"take 19.7 GB in memory; the limit is 4 GB"):
        check_memory(100_000, 256, 3)


@given(st.integers(8, 40), st.sampled_from([1, 3]), st.sampled_from([1, 3]))
def test_arrays_are_resized_to_any_size_and_channels(size: int, channels: int, wanted: int) -> None:
    images = np.full((2, 12, 12, channels), 77, dtype=np.uint8)
    resized = resize_array(images, size, wanted)
    assert resized.shape == (2, size, size, wanted)
    assert np.abs(resized.astype(int) - 77).max() <= 1

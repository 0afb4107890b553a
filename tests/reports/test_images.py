import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from reports.errors import ReportError
from reports.images import LeftOut, Picture, PictureBudget, encode, evenly_spread
from tests.reports.pages import pixels_of

SIDES = st.integers(1, 12)
PIXELS = st.tuples(SIDES, SIDES, st.sampled_from([1, 3])).flatmap(lambda shape: arrays(np.uint8, shape))


def noise(side: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def why_not(source: Path) -> str:
    picture = encode(source)
    assert isinstance(picture, LeftOut)
    return picture.why


@settings(max_examples=40, deadline=None)
@given(PIXELS)
def test_no_pixel_is_changed(pixels: npt.NDArray[np.uint8]) -> None:
    picture = encode(pixels)
    assert isinstance(picture, Picture)
    assert (picture.height, picture.width) == pixels.shape[:2]
    assert np.array_equal(pixels_of(picture.uri), np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_files_of_every_plain_mode_are_embedded(tmp_path: Path, mode: str) -> None:
    original = Image.fromarray(noise(8)).convert(mode)
    original.save(tmp_path / "grid.png")
    picture = encode(tmp_path / "grid.png")
    assert isinstance(picture, Picture)
    assert np.array_equal(pixels_of(picture.uri), np.asarray(original.convert("RGB")))


def test_an_animation_is_embedded_byte_for_byte(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(8, seed)) for seed in range(3)]
    frames[0].save(tmp_path / "walk.webp", save_all=True, append_images=frames[1:], lossless=True)
    picture = encode(tmp_path / "walk.webp")
    assert isinstance(picture, Picture)
    assert np.array_equal(pixels_of(picture.uri), noise(8))
    assert len(picture.uri) > 4 * (tmp_path / "walk.webp").stat().st_size / 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "neither PNG nor WebP: bad.png"),
        (b"GIF89a" + bytes(40), "neither PNG nor WebP: bad.png"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "neither PNG nor WebP: bad.png"),
    ],
)
def test_a_file_that_is_no_picture_is_left_out_with_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    assert why_not(tmp_path / "bad.png") == reason


def test_a_truncated_file_is_left_out_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(noise(64)).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    assert "cut.png" in why_not(path)


def test_a_missing_file_is_left_out_without_telling_its_folder(tmp_path: Path) -> None:
    assert why_not(tmp_path / "gone.png") == "not found: gone.png"


def test_a_folder_in_place_of_a_file_is_left_out(tmp_path: Path) -> None:
    assert tmp_path.name in why_not(tmp_path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(8, 150), st.integers(0, 255), st.booleans())
def test_no_damage_to_a_file_stops_a_report(tmp_path: Path, place: int, value: int, cut: bool) -> None:
    path = tmp_path / "damaged.png"
    Image.fromarray(noise(6)).save(path)
    data = bytearray(path.read_bytes())
    data[place] = value
    path.write_bytes(data[: place + 1] if cut else data)
    assert isinstance(encode(path), Picture | LeftOut)


def test_a_header_too_short_is_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", bytes(5)))
    assert why_not(tmp_path / "bad.png") == "cannot be read: bad.png (broken file)"


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (9000, 9000), (17_000, 10)])
def test_a_picture_too_large_is_refused_by_its_header(tmp_path: Path, width: int, height: int) -> None:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    assert why_not(tmp_path / "bomb.png").startswith("refused")


def test_sixteen_bits_are_refused_rather_than_cut_to_eight(tmp_path: Path) -> None:
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save(tmp_path / "deep.png")
    assert "without loss" in why_not(tmp_path / "deep.png")


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((2, 4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_an_array_that_is_no_picture_is_an_error(pixels: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(ReportError, match=r"must be uint8 of shape \(H, W\)"):
        encode(pixels)


def test_a_picture_is_shown_in_whole_multiples_of_its_pixels() -> None:
    picture = Picture(uri="", width=100, height=50)
    assert (picture.shown_width(350), picture.shown_width(99), picture.shown_width(100)) == (300, 99, 100)
    assert picture.is_enlarged(100)
    assert not picture.is_enlarged(99)


def test_pictures_beyond_the_budget_are_left_out() -> None:
    first, second = noise(16, 1), noise(16, 2)
    size = len(encode(first).uri)  # type: ignore[union-attr]
    budget = PictureBudget(remaining_bytes=round(1.5 * size))
    assert isinstance(budget.embed(first), Picture)
    assert isinstance(budget.embed(second), LeftOut)


@pytest.mark.parametrize(("fits", "chosen"), [(10, [0, 2, 4, 7, 9]), (3, [0, 4, 9]), (2, [0, 9]), (1, [9]), (0, [])])
def test_frames_are_dropped_from_the_middle(fits: int, chosen: list[int]) -> None:
    frames = [noise(16, seed) for seed in range(10)]
    size = max(len(encode(frame).uri) for frame in frames)  # type: ignore[union-attr]
    kept = PictureBudget(remaining_bytes=fits * size).spread(range(10), lambda index: frames[index], at_most=5)
    assert [index for index, _ in kept] == chosen
    assert all(isinstance(picture, Picture) for _, picture in kept)


@given(st.integers(1, 200), st.integers(2, 50))
def test_an_even_spread_keeps_both_ends_and_repeats_nothing(total: int, count: int) -> None:
    chosen = evenly_spread(range(total), count)
    assert len(chosen) == min(total, count) == len(set(chosen))
    assert (chosen[0], chosen[-1]) == (0, total - 1)

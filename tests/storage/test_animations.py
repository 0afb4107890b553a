import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from pixmill.errors import CorruptFile, StorageError
from storage.animations import (
    animation_problems,
    gif_bytes,
    read_animation_index,
    webp_bytes,
    write_animation,
    write_animation_index,
)
from storage.index import write_dataset_index
from storage.png import Images
from storage.shards import ImageBatch, ShardMeta, write_shard


def moving(frames: int = 6, channels: int = 3) -> Images:
    """Noise, no two frames of which are equal."""
    return np.random.default_rng(0).integers(0, 256, (frames, 12, 9, channels), dtype=np.uint8)


def read(content: bytes, mode: str) -> list[Image.Image]:
    with Image.open(io.BytesIO(content)) as image:
        return [frame.convert(mode) for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("channels", [1, 3])
def test_webp_has_the_very_pixels_of_the_frames(channels: int) -> None:
    frames = moving(channels=channels)
    found = np.stack([np.asarray(image) for image in read(webp_bytes(frames, 80), "RGB")])
    assert np.array_equal(found, np.broadcast_to(frames, (6, 12, 9, 3)))


def test_gif_has_the_very_pixels_of_gray_frames_and_nearly_those_of_smooth_colours() -> None:
    gray = moving(channels=1)
    assert np.array_equal(np.stack([np.asarray(image) for image in read(gif_bytes(gray, 80), "L")]), gray[..., 0])
    ramp = np.arange(12, dtype=np.uint8)[:, None, None] * np.array([20, 10, 5], dtype=np.uint8)
    colours = np.stack([np.broadcast_to(ramp, (12, 9, 3)), 255 - np.broadcast_to(ramp, (12, 9, 3))])
    found = np.stack([np.asarray(image) for image in read(gif_bytes(colours, 80), "RGB")]).astype(int)
    assert np.abs(found - colours).max() <= 8


@pytest.mark.parametrize("write", [webp_bytes, gif_bytes])
def test_frames_are_shown_for_so_long_and_again_and_again(write: object) -> None:
    assert callable(write)
    with Image.open(io.BytesIO(write(moving(), 120))) as image:
        assert (image.n_frames, image.info["loop"]) == (6, 0)  # type: ignore[attr-defined]
        for frame in range(6):
            image.seek(frame)
            image.load()
            assert image.info["duration"] == 120


def test_equal_frames_give_equal_bytes_and_other_frames_others() -> None:
    frames = moving()
    assert webp_bytes(frames, 100) == webp_bytes(frames.copy(), 100) != webp_bytes(frames[::-1], 100)
    assert gif_bytes(frames, 100) == gif_bytes(frames.copy(), 100) != gif_bytes(frames[::-1], 100)


def test_no_frames_make_no_animation() -> None:
    with pytest.raises(StorageError, match="without frames"):
        webp_bytes(moving()[:0], 100)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A data set of two animations of three frames."""
    frames = moving()
    meta = ShardMeta("c" * 64, "fp32", 7, animation={"frames_each": 3, "stops": 2})
    shard = write_shard(tmp_path, 0, [ImageBatch(0, frames, np.full(6, 7))], meta)
    records = [write_animation(tmp_path, number, 3 * number, frames[3 * number :][:3], 100) for number in range(2)]
    write_dataset_index(tmp_path, [shard], name="a", details={"animations": write_animation_index(tmp_path, records)})
    return tmp_path


def test_the_index_names_frames_and_files(published: Path) -> None:
    first, second = read_animation_index(published)
    assert (second.number, second.first_index, second.frames) == (1, 3, 3)
    assert list(first.files) == ["animation-000000.webp", "animation-000000.gif"]
    assert list(animation_problems(published)) == []


def test_whatever_is_missing_or_changed_is_named(published: Path) -> None:
    (published / "animation-000000.gif").unlink()
    path = published / "animation-000001.webp"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert list(animation_problems(published)) == [
        "animation-000000.gif is missing",
        "animation-000001.webp has changed: its SHA-256 is not the one recorded",
    ]
    index = published / "animations.json"
    index.write_text(index.read_text().replace('"first_index": 3', '"first_index": 4'))
    assert "animations.json has changed: its SHA-256 is not the one recorded" in list(animation_problems(published))
    index.write_text("{")
    assert any("is damaged" in problem for problem in animation_problems(published))
    with pytest.raises(CorruptFile, match="is damaged"):
        read_animation_index(published)

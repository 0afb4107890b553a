import os
import shutil
import struct
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagemodels.data import BadImage, DatasetMissing, load_dataset
from imagemodels.data.picture_files import FolderFiles, tell_nobody
from imagemodels.errors import DataError
from tests.imagemodels.data.pictures import write_class_folders, write_picture


def test_sub_folders_are_classes_in_sorted_order(tmp_path: Path) -> None:
    write_class_folders(tmp_path, {"dog": 6, "cat": 5})
    write_picture(tmp_path / "dog" / "deep" / "below" / "one.jpg", 99)
    dataset = load_dataset(f"folder:{tmp_path}", image_size=16)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.histogram() == {"cat": 5, "dog": 7}
    assert dataset.images.shape == (12, 16, 16, 3)
    assert dataset.images.dtype == np.uint8
    assert dataset.images.flags.c_contiguous


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    for seed in range(6):
        write_picture(tmp_path / f"{seed}.png", seed)
    dataset = load_dataset(f"folder:{tmp_path}", image_size=8)
    assert dataset.labels is None
    assert dataset.class_names == ()
    with pytest.raises(DataError, match="labelled images"):
        dataset.require_classes()


def test_one_class_cannot_be_conditional(tmp_path: Path) -> None:
    write_class_folders(tmp_path, {"cat": 5})
    dataset = load_dataset(f"folder:{tmp_path}", image_size=8)
    with pytest.raises(DataError, match="at least two classes; found 1: 'cat'; remove --conditional"):
        dataset.require_classes()


def test_train_and_test_folders_part_the_images_instead_of_naming_classes(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "train", {"cat": 4, "dog": 4})
    write_class_folders(tmp_path / "test", {"cat": 1, "dog": 2})
    dataset = load_dataset(f"folder:{tmp_path}", image_size=8)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.split == "folders"
    assert (len(dataset.train_indices), len(dataset.test_indices)) == (8, 3)
    assert dataset.labels is not None
    assert np.bincount(dataset.labels[dataset.test_indices]).tolist() == [1, 2]


def test_images_beside_class_folders_are_refused(tmp_path: Path) -> None:
    write_class_folders(tmp_path, {"cat": 2, "dog": 2})
    write_picture(tmp_path / "stray.png", 50)
    with pytest.raises(DataError, match=r"1 images lie beside class folders \(stray.png\)"):
        load_dataset(f"folder:{tmp_path}", image_size=8)


def test_an_empty_folder_and_a_missing_one_say_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DatasetMissing, match=r"no image in it or below it \(1 other files\)"):
        load_dataset(f"folder:{tmp_path}", image_size=8)
    with pytest.raises(DatasetMissing, match="there is no such folder"):
        load_dataset(f"folder:{tmp_path / 'absent'}", image_size=8)


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", 1)
    write_picture(tmp_path / ".thumbnails" / "b.png", 2)
    shutil.copy(tmp_path / "a.png", tmp_path / ".c.png")
    assert len(load_dataset(f"folder:{tmp_path}", image_size=8)) == 1


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    secret = write_picture(tmp_path / "outside" / "secret.png", 5)
    inside = tmp_path / "inside"
    write_picture(inside / "a.png", 1)
    (inside / "leak.png").symlink_to(secret)
    (inside / "leaking_folder").symlink_to(secret.parent)
    (inside / "again.png").symlink_to(inside / "a.png")
    dataset = load_dataset(f"folder:{inside}", image_size=8, on_bad_image="skip")
    assert [path for path, _ in dataset.bad_images] == ["leak.png", "leaking_folder"]
    assert "leads out of the folder" in dataset.bad_images[0][1]
    assert len(dataset) == 2


def _damage(folder: Path) -> list[str]:
    """Write one bad file of each kind and return their names in order."""
    (folder / "bad0_zero.png").write_bytes(b"")
    (folder / "bad1_text.png").write_text("hello, I am not a picture")
    whole = write_picture(folder / "whole.jpg", 1, (64, 64))
    (folder / "bad2_truncated.jpg").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    png = bytearray(write_picture(folder / "whole.png", 2, (64, 64)).read_bytes())
    png[len(png) // 2] ^= 0xFF
    (folder / "bad3_flipped.png").write_bytes(bytes(png))
    (folder / "bad4_bomb.png").write_bytes(_bomb(20_000, 20_000))
    (folder / "bad5_large.png").write_bytes(_bomb(9_000, 9_000))
    Image.fromarray(np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)).save(folder / "bad6_float.tif")
    return [f"bad{number}" for number in range(7)]


def _bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header promises a huge image."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def test_bad_images_fail_in_one_error_that_names_and_counts_them(tmp_path: Path) -> None:
    _damage(tmp_path)
    with pytest.raises(BadImage) as caught:
        load_dataset(f"folder:{tmp_path}", image_size=16)
    message = str(caught.value)
    assert message.startswith(f"7 of 9 images in folder:{tmp_path.resolve()} are unusable:")
    assert "bad0_zero.png: the file is empty" in message
    assert "bad1_text.png: not an image of a known format" in message
    assert "and 2 more" in message


def test_bad_images_can_be_skipped_and_are_listed_with_reasons(tmp_path: Path) -> None:
    names = _damage(tmp_path)
    dataset = load_dataset(f"folder:{tmp_path}", image_size=16, on_bad_image="skip")
    assert len(dataset) == 2
    assert [path.partition("_")[0] for path, _ in dataset.bad_images] == names
    reasons = {path.partition("_")[0]: reason for path, reason in dataset.bad_images}
    assert "truncated" in reasons["bad2"]
    assert "damaged" in reasons["bad3"]
    assert "too large" in reasons["bad4"]
    assert "9000 × 9000 is more than 64,000,000 pixels" in reasons["bad5"]
    assert "no known range" in reasons["bad6"]
    assert dataset.describe()["bad_images"] == 7


def test_a_folder_of_bad_images_alone_fails_even_when_skipping(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(BadImage, match="not one image is usable"):
        load_dataset(f"folder:{tmp_path}", on_bad_image="skip")


def test_a_dangling_link_and_a_pipe_are_bad_images(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", 1)
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(tmp_path / "c.png")
    dataset = load_dataset(f"folder:{tmp_path}", on_bad_image="skip")
    assert dataset.bad_images == (
        ("b.png", "cannot be read: No such file or directory"),
        ("c.png", "not a regular file"),
    )


def test_links_in_a_circle_and_names_that_are_no_text_are_bad_images(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", 1)
    (tmp_path / "b.png").symlink_to("c.png")
    (tmp_path / "c.png").symlink_to("b.png")
    shutil.copy(os.fsencode(tmp_path / "a.png"), os.fsencode(tmp_path) + b"/\xff.png")
    dataset = load_dataset(f"folder:{tmp_path}", on_bad_image="skip")
    assert [path for path, _reason in dataset.bad_images] == ["\\udcff.png", "b.png", "c.png"]
    assert "no text in UTF-8" in dataset.bad_images[0][1]
    assert "levels of symbolic links" in dataset.bad_images[1][1]
    assert len(dataset) == 1


def test_files_lie_in_the_order_of_their_whole_paths(tmp_path: Path) -> None:
    names = ["a/z.png", "a-b/y.png", "a.b/x.png", "a0/w.png", "a/a/v.png", "é/u.png"]
    for seed, name in enumerate(names):
        write_picture(tmp_path / name, seed)
    with closing(FolderFiles(tmp_path, tell_nobody)) as files:
        assert list(files.paths) == sorted(names)


def test_size_and_channels_come_from_the_files_when_they_agree(tmp_path: Path) -> None:
    for seed in range(3):
        write_picture(tmp_path / f"{seed}.png", seed, (24, 24), "L")
    assert load_dataset(f"folder:{tmp_path}").images.shape == (3, 24, 24, 1)
    write_picture(tmp_path / "colour.png", 9, (24, 24), "RGB")
    assert load_dataset(f"folder:{tmp_path}").images.shape == (4, 24, 24, 3)


def test_files_of_several_sizes_need_an_image_size(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", 1, (24, 24))
    write_picture(tmp_path / "b.png", 2, (30, 20))
    with pytest.raises(DataError, match=r"2 sizes \(24 × 24, 30 × 20\) have no common square size; give an image size"):
        load_dataset(f"folder:{tmp_path}")


def test_the_fingerprint_knows_content_names_and_settings_but_not_the_place(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_class_folders(first, {"cat": 4, "dog": 4})
    shutil.copytree(first, second)
    original = load_dataset(f"folder:{first}", image_size=8)
    assert load_dataset(f"folder:{second}", image_size=8).fingerprint == original.fingerprint
    assert load_dataset(f"folder:{first}", image_size=9).fingerprint != original.fingerprint
    assert load_dataset(f"folder:{first}", image_size=8, channels=1).fingerprint != original.fingerprint
    assert load_dataset(f"folder:{first}", image_size=8, seed=1).fingerprint != original.fingerprint
    write_picture(second / "cat" / "000.png", 12345)
    assert load_dataset(f"folder:{second}", image_size=8).fingerprint != original.fingerprint


def test_progress_is_told_and_may_end_the_reading(tmp_path: Path) -> None:
    write_class_folders(tmp_path, {"cat": 40, "dog": 40})
    told: list[tuple[str, float]] = []
    load_dataset(f"folder:{tmp_path}", image_size=8, progress=lambda phase, share: told.append((phase, share)))
    assert ("decoding", 0.0) in told
    assert all(0.0 <= share <= 1.0 for _, share in told)

    def stop(phase: str, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dataset(f"folder:{tmp_path}", image_size=8, progress=stop)

from pathlib import Path

import pytest

from pixmill.errors import CorruptFile, DiskFull, PathEscape
from storage.checkpoints import SavedFile, open_verified, save_checkpoint
from storage.paths import Layout
from tests.storage.samples import SizeLimit

CONTENT = bytes(range(256)) * 100


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def saved(layout: Layout) -> SavedFile:
    return save_checkpoint(layout, layout.run_folder(1, 2, 3), "step-10.pt", lambda file: file.write(CONTENT))


def test_a_checkpoint_is_read_back_under_its_relative_path(layout: Layout, saved: SavedFile) -> None:
    assert saved.path == "runs/1/2/3/step-10.pt"
    assert saved.size_bytes == len(CONTENT)
    with open_verified(layout.resolve(saved.path), saved.sha256, size_bytes=saved.size_bytes) as file:
        assert file.read() == CONTENT


def test_a_missing_checkpoint_is_named(layout: Layout, saved: SavedFile) -> None:
    path = layout.resolve(saved.path)
    path.unlink()
    with pytest.raises(CorruptFile, match=r"step-10\.pt is missing"):
        open_verified(path, saved.sha256)


@pytest.mark.parametrize("size_bytes", [None, len(CONTENT)])
def test_a_truncated_checkpoint_is_refused(layout: Layout, saved: SavedFile, size_bytes: int | None) -> None:
    path = layout.resolve(saved.path)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(CorruptFile, match=r"has changed|has 25,599 bytes, 25,600 were written") as caught:
        open_verified(path, saved.sha256, size_bytes=size_bytes)
    assert caught.value.hint


def test_one_flipped_bit_is_enough_to_be_refused(layout: Layout, saved: SavedFile) -> None:
    path = layout.resolve(saved.path)
    damaged = bytearray(CONTENT)
    damaged[12_345] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CorruptFile, match=f"recorded {saved.sha256}"):
        open_verified(path, saved.sha256, size_bytes=saved.size_bytes)


def test_a_folder_in_the_place_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match="cannot be opened"):
        open_verified(tmp_path, "0" * 64)


def test_a_full_disk_leaves_the_earlier_checkpoint_readable(
    layout: Layout, saved: SavedFile, file_size_limit: SizeLimit
) -> None:
    folder = layout.run_folder(1, 2, 3)
    with file_size_limit(10_000), pytest.raises(DiskFull):
        save_checkpoint(layout, folder, "step-10.pt", lambda file: file.write(bytes(50_000)))
    with open_verified(layout.resolve(saved.path), saved.sha256) as file:
        assert file.read() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["step-10.pt"]


def test_a_checkpoint_outside_the_root_is_refused_before_anything_is_written(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(PathEscape):
        save_checkpoint(layout, tmp_path / "runs", "../../stolen.pt", lambda file: file.write(b"x"))
    assert not (tmp_path.parent / "stolen.pt").exists()

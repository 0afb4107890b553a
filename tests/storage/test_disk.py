import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixmill.errors import DiskFull, PermissionDenied, StorageError
from storage.disk import check_writable, folder_bytes, free_bytes
from tests.storage.samples import SizeLimit

NOBODY = 65534


@pytest.fixture
def plain_account() -> Iterator[None]:
    """Root may write anywhere: become nobody for the test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_new_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_refuses_is_named_with_a_hint(tmp_path: Path, plain_account: None) -> None:
    folder = tmp_path / "locked"
    if os.geteuid() != NOBODY:
        folder.mkdir(mode=0o555)
    with pytest.raises(PermissionDenied, match="locked") as caught:
        check_writable(folder)
    assert caught.value.hint


def test_a_file_in_the_place_of_the_root_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot make folder"):
        check_writable(tmp_path / "file")


def test_a_folder_without_room_is_a_full_disk(tmp_path: Path, file_size_limit: SizeLimit) -> None:
    with file_size_limit(100), pytest.raises(DiskFull):
        check_writable(tmp_path)


def test_more_room_than_there_is_is_refused_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match=r"MB free, 1,000,000,000,000 MB are needed"):
        check_writable(tmp_path, needed_bytes=10**18)


def test_free_room_is_known_for_a_path_that_is_not_there_yet(tmp_path: Path) -> None:
    assert 0 < free_bytes(tmp_path / "not" / "yet") == pytest.approx(free_bytes(tmp_path), rel=0.1)


def test_a_folder_is_counted_without_following_links_and_no_longer_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(bytes(100))
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "b")
    link_bytes = (tmp_path / "a" / "link").lstat().st_size
    assert folder_bytes(tmp_path) == (100 + link_bytes, True)
    assert folder_bytes(tmp_path / "none") == (0, True)
    assert folder_bytes(tmp_path, until=time.monotonic() - 1) == (0, False)

from pathlib import Path

import pytest

from cli.local.service_logs import ROTATE_BYTES, last_lines, log_size, open_log
from pixmill.errors import StorageError


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "scheduler.log"
    for line in (b"first\n", b"second\n"):
        with open_log(path) as log:
            log.write(line)
    assert path.read_bytes() == b"first\nsecond\n"


def test_a_large_log_is_put_aside_at_a_start(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    with path.open("wb") as log:
        log.truncate(ROTATE_BYTES + 1)
    open_log(path).close()
    assert log_size(path) == 0
    assert log_size(tmp_path / "server.log.1") == ROTATE_BYTES + 1


def test_a_log_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder belongs")
    with pytest.raises(StorageError, match="logs"):
        open_log(tmp_path / "logs" / "server.log")


def test_the_last_lines_leave_out_blank_ones_and_earlier_starts(tmp_path: Path) -> None:
    path = tmp_path / "worker-cpu.log"
    path.write_text("old\n")
    old_bytes = log_size(path)
    with path.open("a") as log:
        log.write("one\n\ntwo\n  \nthree\n")
    assert last_lines(path, 2) == ["two", "three"]
    assert last_lines(path, 9, since_bytes=old_bytes) == ["one", "two", "three"]
    assert last_lines(tmp_path / "missing.log", 9) == []


def test_a_log_that_was_put_aside_is_read_from_its_new_beginning(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("new\n")
    assert last_lines(path, 9, since_bytes=1000) == ["new"]


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("x" * 100_000 + "\nlast words \xff\n", encoding="latin-1")
    assert last_lines(path, 1) == ["last words \ufffd"]

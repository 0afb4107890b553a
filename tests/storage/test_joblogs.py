"""A log is bounded: its beginning and its end are kept, and whoever follows it loses nothing that is there."""

import logging
from pathlib import Path

import pytest

from storage.joblogs import PIECES, PieceHandler, pieces


def handler(folder: Path, most: int) -> PieceHandler:
    made = PieceHandler(folder, most)
    made.setFormatter(logging.Formatter("%(message)s"))
    return made


def write(to: logging.Handler, *texts: str) -> None:
    for text in texts:
        to.emit(logging.LogRecord("x", logging.INFO, "f", 1, text, (), None))


def read(folder: Path) -> list[str]:
    return [line for piece in pieces(folder) for line in piece.path.read_text().splitlines()]


def test_a_small_log_is_one_file(tmp_path: Path) -> None:
    log = handler(tmp_path, 1000)
    write(log, "one", "two")
    log.close()
    assert [piece.path.name for piece in pieces(tmp_path)] == ["log.txt"]
    assert read(tmp_path) == ["one", "two"]


def test_a_long_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    log = handler(tmp_path, 8 * 100)
    texts = [f"{number:09}" for number in range(1000)]
    write(log, *texts)
    log.close()
    kept = read(tmp_path)
    assert kept[:10] == texts[:10]
    assert kept[-60:] == texts[-60:]
    assert sum(piece.path.stat().st_size for piece in pieces(tmp_path)) <= 8 * 100
    assert len(pieces(tmp_path)) <= PIECES
    numbers = [piece.number for piece in pieces(tmp_path)]
    assert numbers == [0, *range(numbers[1], numbers[-1] + 1)]


def test_a_process_that_takes_over_goes_on_with_the_last_piece(tmp_path: Path) -> None:
    for part in (range(25), range(25, 50)):
        log = handler(tmp_path, 8 * 100)
        write(log, *[f"{number:09}" for number in part])
        log.close()
    assert read(tmp_path) == [f"{number:09}" for number in range(50)]


@pytest.mark.parametrize("name", ["log-1.txt", "log-00x1.txt", "logs.txt", "log-0001.txt.bak"])
def test_other_files_are_no_pieces(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x")
    assert pieces(tmp_path) == []
    assert pieces(tmp_path / "absent") == []

"""The table of the README tells the truth: every row is there, and every test that it names."""

import fnmatch
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROWS = 32


def table() -> dict[int, str]:
    """Row → what proves it."""
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d", line)]
    return {int(number): proof for number, _fault, proof in cells}


def named_tests(proof: str) -> list[tuple[str, Path]]:
    """(pattern, file) of each test that a row names; several may share the file that follows them."""
    found, waiting = [], []
    for pattern, file in re.findall(r"`(test_[\w*]+)`| in ([\w/.]+\.py)", proof):
        if pattern:
            waiting.append(pattern)
            continue
        path = FOLDER.parents[1] / file if "/" in file else FOLDER / file
        found += [(pattern, path) for pattern in waiting]
        waiting = []
    assert waiting == []
    return found


def test_the_table_has_every_row() -> None:
    assert sorted(table()) == list(range(1, ROWS + 1))


@pytest.mark.parametrize("row", range(1, ROWS + 1))
def test_the_tests_that_a_row_names_exist(row: int) -> None:
    named = named_tests(table()[row])
    assert named
    for pattern, path in named:
        tests = re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert fnmatch.filter(tests, pattern), f"{pattern} is not in {path}"


def test_every_test_of_a_row_is_in_the_table() -> None:
    proofs = table()
    for path in FOLDER.glob("test_matrix_*.py"):
        for name, row in re.findall(r"^def (test_row_(\d\d)_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            patterns = [pattern for pattern, file in named_tests(proofs[int(row)]) if file == path]
            assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name

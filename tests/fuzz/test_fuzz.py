"""A few of the hundred thousand cases of benchmarks/fuzz.py, of all targets that need no long start."""

import multiprocessing.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fuzz import draw as st
from tests.fuzz.harness import Act, Target, Wrong, run_target
from tests.fuzz.table import all_targets

CASES = {
    "specs": 300, "pipelines": 200, "gates": 200, "times": 30, "selectors": 270, "settings": 80, "addresses": 120,
    "messages": 250, "lines": 150, "images": 120, "archives": 50, "idx": 80, "manifests": 60, "queries": 40,
    "codes": 50,
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_hostile_cases_are_refused_in_a_line_and_reach_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))  # so that it is what it was before, afterwards
    multiprocessing.util.get_temp_dir()  # is chosen once: where sockets of the tests after these have a short path
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    tally = run_target(all_targets()[name], CASES[name], 7, tmp_path)
    assert tally.findings == []
    assert tally.cases == CASES[name]


def _raise(_folder: Path) -> None:
    raise IndexError


def _write(folder: Path) -> None:
    (folder.parent.parent / "elsewhere").write_text("x")


def _print(_folder: Path) -> None:
    sys.stdout.write("Traceback (most recent call last)")


def _disagree(_folder: Path) -> None:
    raise Wrong("an answer")


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (_raise, "IndexError"),
        (_write, "it reaches out"),
        (_print, "a traceback is printed"),
        (_disagree, "Wrong"),
    ],
)
def test_what_must_not_happen_is_found(act: Callable[[Path], None], what: str, tmp_path: Path) -> None:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Act]:
        yield lambda _case: act(folder)

    target = Target(name="x", share=1, cases=st.just(0), prepare=prepare, allowed=())
    tally = run_target(target, 2, 1, tmp_path / "x")
    assert tally.findings[0]["what"] == what
    assert tally.findings[0]["times"] == 2

"""A home of each test's own, and two ways to run the command in it: in this process, and on a terminal."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Run, Runner
from tests.cli.world import World


@pytest.fixture
def home(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a migrated, empty database and no Redis."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copyfile(sqlite_template, folder / "pixmill.db")
    monkeypatch.setenv("PIXMILL_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def run(home: Path) -> Runner:
    """Runs a command line in this process."""
    return Run().invoke


@pytest.fixture
def world(home: Path) -> Iterator[World]:
    """The same home, for putting jobs into it."""
    opened = World(home)
    yield opened
    opened.database.dispose()

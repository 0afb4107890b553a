"""A home with a bit of everything, for all tests that only look; and one of its own for a test that acts."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.world import World
from tests.server.standing import Dashboard, asked, fill_home, settings_file


@pytest.fixture(scope="session")
def standing_home(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Path:
    """A home with jobs in all states."""
    home = tmp_path_factory.mktemp("dashboard") / "home"
    home.mkdir()
    shutil.copyfile(sqlite_template, home / "pixmill.db")
    world = World(home)
    fill_home(world)
    world.database.dispose()
    return home


@pytest.fixture(scope="session")
def dashboard(standing_home: Path) -> Iterator[Dashboard]:
    """Its dashboard, which only shows."""
    with asked(settings_file(standing_home.parent, standing_home)) as opened:
        yield opened


@pytest.fixture
def world(tmp_path: Path, sqlite_template: Path) -> Iterator[World]:
    """An empty home of this test's own."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copyfile(sqlite_template, home / "pixmill.db")
    opened = World(home)
    yield opened
    opened.database.dispose()

"""The line on which promises are tested: one for the whole session, on SQLite."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Valkey
from tests.worker.line import Line


@pytest.fixture(scope="session")
def promised_line(
    short_folder: Path, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line with a broker and a database of its own."""
    folder = short_folder / "promised"
    folder.mkdir()
    server = Valkey(folder)
    server.start()
    home = tmp_path_factory.mktemp("promised")
    shutil.copyfile(sqlite_template, home / "pixmill.db")
    line = Line(home, f"sqlite:///{home / 'pixmill.db'}", server.url)
    yield line
    line.stop()
    server.kill()


@pytest.fixture
def line(promised_line: Line) -> Line:
    """The line, all of its processes up."""
    promised_line.start()
    return promised_line

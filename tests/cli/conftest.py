"""A home of each test's own, and two ways to run the command in it: in this process, and on a terminal."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
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
    monkeypatch.setenv("PIXMILL_DATABASE_CONNECT_TIMEOUT_SECONDS", "30")  # a busy machine may take more than a second
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


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose server accepts and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def swallowing_port() -> Iterator[int]:
    """A port that takes no more connections, and refuses none: packets to it are gone."""
    with ExitStack() as opened:
        server = opened.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port

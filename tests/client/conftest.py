"""A client of a home of each test's own, and a world that moves the jobs in it along."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from client import Client
from pixmill.errors import PixmillError
from tests.cli.world import World
from tests.conftest import Broker


@pytest.fixture
def world(tmp_path: Path, database_url: str, valkey: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A home with a migrated, empty database and a real Redis, for putting jobs into it."""
    monkeypatch.setenv("PIXMILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIXMILL_DATABASE_URL", database_url)
    monkeypatch.setenv("PIXMILL_BROKER_URL", valkey.url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("client.waiting.LOOK_SECONDS", 0.01)
    opened = World(tmp_path / "home")
    yield opened
    opened.database.dispose()


@pytest.fixture
def troubles() -> list[PixmillError]:
    """What the client has told of servers."""
    return []


@pytest.fixture
def pixmill(world: World, troubles: list[PixmillError]) -> Iterator[Client]:
    """A client of that home."""
    with Client(user="olga", on_trouble=troubles.append) as opened:
        yield opened

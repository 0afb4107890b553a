"""What a client does while its database is away."""

from collections.abc import Iterator

import pytest
from sqlalchemy import URL, make_url

from client import Client
from pixmill.errors import DatabaseUnreachable, PixmillError
from pixmill.specs import PingSpec
from pixmill.states import State
from tests.cli.world import World
from tests.databases import administrate


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """A server that can refuse."""
    return postgres_url


class Door:
    """Lets nobody into the database, or everybody again."""

    def __init__(self, server: URL, url: str) -> None:
        self._server = server
        self._name = make_url(url).database

    def close(self) -> None:
        others = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'"
        administrate(self._server, f"ALTER DATABASE {self._name} WITH ALLOW_CONNECTIONS false", others)

    def open(self) -> None:
        administrate(self._server, f"ALTER DATABASE {self._name} WITH ALLOW_CONNECTIONS true")


@pytest.fixture
def door(postgres_server_url: URL, postgres_url: str) -> Iterator[Door]:
    found = Door(postgres_server_url, postgres_url)
    yield found
    found.open()


def test_a_short_outage_is_waited_out_and_told(world: World, door: Door) -> None:
    troubles: list[PixmillError] = []

    def note(error: PixmillError) -> None:
        troubles.append(error)
        door.open()

    with Client(on_trouble=note) as pixmill:
        job = pixmill.submit(PingSpec())
        progress = pixmill.progress(job)
        assert next(progress).state is State.PENDING
        world.succeed(world.claim(world.worker()))
        door.close()
        assert next(progress).state is State.SUCCEEDED
        assert [type(error) for error in troubles] == [DatabaseUnreachable]
        door.close()
        with pytest.raises(DatabaseUnreachable):
            pixmill.wait(job)

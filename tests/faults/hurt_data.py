"""Faults of the database, and of checkpoints on the disk."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing

from tests.faults.plant import LEASE_SECONDS
from tests.faults.site import NotNow, Site, Steps


def restart_postgresql(site: Site, rng: random.Random) -> Steps:
    """An immediate stop, which cuts every session, and a start that recovers."""
    _stop_postgresql(site)
    _start_postgresql(site)
    yield from ()


def stop_postgresql(site: Site, rng: random.Random) -> Steps:
    """The same, with one to three leases in between."""
    _stop_postgresql(site)
    yield LEASE_SECONDS * rng.uniform(1.0, 3.0)
    _start_postgresql(site)


def _stop_postgresql(site: Site) -> None:
    assert site.plant.postgres is not None
    site.plant.database_is_away = True
    site.plant.postgres.stop()


def _start_postgresql(site: Site) -> None:
    assert site.plant.postgres is not None
    site.plant.postgres.start()
    site.plant.database_is_away = False


def cut_postgresql_connections(site: Site, rng: random.Random) -> Steps:
    """pg_terminate_backend to everybody."""
    assert site.plant.postgres is not None
    site.plant.postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    yield from ()


def lock_sqlite(site: Site, rng: random.Random) -> Steps:
    """Somebody else holds the write lock for some seconds."""
    path = site.plant.home / "pixmill.db"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=1.0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise NotNow from error
        site.plant.database_is_away = True
        yield rng.uniform(0.2, 1.6 * LEASE_SECONDS)
        connection.execute("ROLLBACK")
        site.plant.database_is_away = False


def tear_checkpoint(site: Site, rng: random.Random) -> Steps:
    """The newest checkpoint of a running job loses its second half."""
    _spoil(site, rng, lambda content: content[: len(content) // 2])
    yield from ()


def flip_bit(site: Site, rng: random.Random) -> Steps:
    """One bit of the newest checkpoint of a running job is wrong."""

    def flipped(content: bytes) -> bytes:
        place = rng.randrange(len(content))
        return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]

    _spoil(site, rng, flipped)
    yield from ()


def _spoil(site: Site, rng: random.Random, change: Callable[[bytes], bytes]) -> None:
    relative = site.newest_checkpoint(rng)
    site.damaged.add(relative)  # first of all: a worker may read it at once
    path = site.plant.settings.storage_root / relative
    try:
        content = change(path.read_bytes())
        with path.open("r+b") as file:  # never made anew: its worker may have removed it
            file.truncate(len(content))
            file.write(content)
    except (FileNotFoundError, ValueError) as error:
        raise NotNow from error

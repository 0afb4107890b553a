"""Logs of workers whose files cannot be seen from here: their end is read from the database."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from client import Client
from client.logs import LogReader, log_sources
from db.joblogs import prune_logs, share_log, shared_log
from db.leases import Lease
from db.tables.told import LogPiece
from db.workers import database_time
from pixmill.sections import LogSettings
from pixmill.states import FailureReason
from storage.paths import Layout
from tests.cli.world import World
from tests.rows import act
from worker.parent import sharing
from worker.parent.sharing import LogSharer

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite is of one host


@pytest.fixture
def lease(world: World) -> Lease:
    world.train()
    return world.claim(world.worker())


def sharer(world: World, most: int = 1000) -> LogSharer:
    made = LogSharer(world.database, LogSettings(shared_bytes=most), Layout(world.root))
    made.begin()
    return made


def hide(world: World) -> None:
    """From now on this host sees nothing of what the worker's wrote."""
    (world.root / "runs").rename(world.root / "elsewhere")


def stored(world: World, lease: Lease) -> list[str]:
    with world.database.read() as session:
        return [part.text for part in shared_log(session, lease.task_id, lease.epoch)]


def test_the_log_of_another_host_is_read_from_the_database(world: World, pixmill: Client, lease: Lease) -> None:
    here = sharer(world)
    world.log(lease, "one", "two")
    here.end(lease, succeeded=False)
    world.fail(lease, FailureReason.USER_ERROR, "no")
    assert list(pixmill.logs(lease.job_id)) == ["one", "two"]
    hide(world)
    assert list(pixmill.logs(lease.job_id)) == ["one", "two"]
    assert list(pixmill.logs(lease.job_id, follow=True)) == ["one", "two"]


def test_a_log_that_is_followed_grows(world: World, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "PAUSE_SECONDS", 0.0)
    here, reader = sharer(world), LogReader(world.database)
    elsewhere = World(world.home)  # the same database, and another storage root
    elsewhere.settings = world.settings.model_copy(
        update={"storage": world.settings.storage.model_copy(update={"root": world.home / "empty"})}
    )

    def seen() -> list[str]:
        with elsewhere.database.read() as session:
            (source,) = log_sources(session, elsewhere.root, lease.job_id)
        return list(reader.new_lines(source))

    here.begin()
    world.log(lease, "one")
    here.look(lease)
    assert (seen(), seen()) == (["one"], [])
    with (world.root / lease.folder / "log.txt").open("a") as file:
        file.write("tw")
    here.look(lease)
    assert seen() == []
    world.log(lease, "o", "three")
    here.look(lease)
    assert seen() == ["two", "three"]
    world.succeed(lease)
    assert (seen(), seen()) == ([], [])
    elsewhere.database.dispose()


def test_of_a_long_log_the_end_is_kept(world: World, lease: Lease) -> None:
    here = sharer(world, most=1000)
    for first in range(0, 2000, 100):
        world.log(lease, *[f"{number:09}" for number in range(first, first + 100)])
        here.end(lease, succeeded=False)
    text = "".join(stored(world, lease))
    assert len(text) <= 1000
    assert text.splitlines()[-50:] == [f"{number:09}" for number in range(1950, 2000)]


def test_a_new_piece_of_the_log_is_followed_too(world: World, lease: Lease) -> None:
    here = sharer(world)
    world.log(lease, "one")
    here.end(lease, succeeded=False)
    world.log(lease, "two")
    (world.root / lease.folder / "log-0001.txt").write_text("three\n")
    here.end(lease, succeeded=False)
    (world.root / lease.folder / "log-0002.txt").write_text("four\0\n")
    here.end(lease, succeeded=False)
    assert stored(world, lease) == ["one\n", "two\nthree\n", "four�\n"]


def test_nothing_is_told_of_short_successes_nor_where_it_is_not_wanted(world: World, lease: Lease) -> None:
    world.log(lease, "one")
    sharer(world).end(lease, succeeded=True)
    sharer(world).look(lease)
    sharer(world, most=0).end(lease, succeeded=False)
    assert stored(world, lease) == []


def test_a_worker_that_lost_its_lease_tells_nothing(world: World, lease: Lease) -> None:
    assert act(world.database, share_log, lease, 0, "mine\n", keep_from=0)
    world.succeed(lease)
    assert not act(world.database, share_log, lease, 5, "late\n", keep_from=0)
    assert stored(world, lease) == ["mine\n"]


def test_old_ends_of_logs_go_but_not_of_what_runs(world: World, lease: Lease) -> None:
    world.train()
    ended = world.claim(world.worker("cuda:0"))
    for each in (lease, ended):
        assert act(world.database, share_log, each, 0, "x\n", keep_from=0)
    world.succeed(ended)
    with world.database.write() as session:
        long_ago = database_time(session) - timedelta(days=20)
        session.execute(update(LogPiece).values(written_at=long_ago))
    assert act(world.database, prune_logs, 14 * 86_400.0, 500) == 1
    assert act(world.database, prune_logs, 14 * 86_400.0, 500) == 0
    assert (stored(world, lease), stored(world, ended)) == (["x\n"], [])

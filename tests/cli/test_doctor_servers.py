"""Settings, database and broker, each made wrong in turn."""

from pathlib import Path
from typing import Any

import pytest

from cli.doctor import servers
from cli.doctor.configuration import examine_settings
from cli.doctor.findings import Level
from db.diagnosis import PostgresFacts, SqliteFacts
from db.engine import Database
from pixmill.errors import SchemaMismatch
from pixmill.settings import load_settings
from tests.cli.diagnosing import only, wrong
from tests.servers import Valkey


def test_a_password_that_others_may_read_is_told_with_the_command_that_hides_it(tmp_path: Path) -> None:
    file = tmp_path / "pixmill.toml"
    file.write_text('[broker]\nurl = "redis://:sesame@localhost:6379/0"\n')
    file.chmod(0o644)
    found = only(examine_settings(load_settings(config=file), file, {}))
    assert (found.state, found.remedy) == (Level.WARNING, f"chmod 600 {file}")
    assert "broker.url" in found.detail
    assert "sesame" not in found.detail
    file.chmod(0o600)
    (first,) = examine_settings(load_settings(config=file), file, {})
    assert first.detail.startswith(f"{file}; 1 of ")


def test_an_address_without_a_password_may_be_read_by_all(tmp_path: Path) -> None:
    file = tmp_path / "pixmill.toml"
    file.write_text('[broker]\nurl = "redis://localhost:6379/0"\n')
    file.chmod(0o644)
    assert wrong(examine_settings(load_settings(config=file), file, {})) == {}


def test_a_lease_too_short_for_the_heartbeats_is_told(tmp_path: Path) -> None:
    flags = {"home": tmp_path, "scheduler.lease_seconds": 12.0}
    found = only(examine_settings(load_settings(flags=flags), None, flags))
    assert "a lease lasts 12 s and workers beat every 5 s" in found.detail
    assert found.remedy == "scheduler.lease_seconds = 15, or more, in the settings"


def answer(**changes: Any) -> servers.DatabaseAnswer:
    values: dict[str, Any] = {
        "label": "/data/pixmill.db",
        "is_sqlite": True,
        "latency_seconds": 0.001,
        "offset_seconds": 0.0,
        "facts": SqliteFacts(version="3.45", journal_mode="wal", size_bytes=10**6, free_bytes=0),
        "revision": "0004",
        "mismatch": None,
    }
    return servers.DatabaseAnswer(**(values | changes))


def postgres(**changes: Any) -> PostgresFacts:
    values: dict[str, Any] = {"version": "16.2", "size_bytes": 10**7, "connections": 5, "max_connections": 100}
    return PostgresFacts(**(values | changes))


def test_a_database_in_order_has_no_remedy() -> None:
    assert wrong(servers.examine_database(answer())) == {}
    assert wrong(servers.examine_database(answer(facts=postgres(), is_sqlite=False))) == {}


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"latency_seconds": 0.25}, Level.WARNING, "answers in 250.0 ms"),
        ({"mismatch": SchemaMismatch("1 behind", hint="pixmill db upgrade")}, Level.PROBLEM, "1 behind"),
        ({"facts": SqliteFacts(version="3", journal_mode="delete", size_bytes=9, free_bytes=0)}, Level.PROBLEM, "WAL"),
        (
            {"facts": SqliteFacts(version="3", journal_mode="wal", size_bytes=3 * 10**8, free_bytes=2 * 10**8)},
            Level.WARNING,
            "200 MB of 300 MB hold nothing",
        ),
        ({"facts": postgres(connections=95), "is_sqlite": False}, Level.WARNING, "95 of 100 connections"),
    ],
)
def test_what_is_wrong_with_a_database_is_told(changes: dict[str, Any], level: Level, words: str) -> None:
    found = only(servers.examine_database(answer(**changes)))
    assert found.state is level
    assert words in found.detail
    assert found.remedy


def test_clocks_may_be_two_seconds_apart_and_the_uncertainty_more() -> None:
    far = answer(is_sqlite=False, latency_seconds=1.0, facts=postgres())
    assert servers.examine_clock(answer()).state is Level.OK
    for offset, level in ((2.4, Level.OK), (-2.4, Level.OK), (2.6, Level.WARNING), (-600.0, Level.WARNING)):
        found = servers.examine_clock(servers.DatabaseAnswer(**(vars(far) | {"offset_seconds": offset})))
        assert found.state is level, offset
        assert "± 0.500 s" in found.detail
        assert ("behind" if offset < 0 else "ahead of") in found.detail


def test_the_clock_of_a_real_database_is_this_hosts(database: Database) -> None:
    found = servers.ask_database(database)
    assert abs(found.offset_seconds) < 1.0
    assert 0 < found.latency_seconds < 1.0
    assert found.mismatch is None


def test_a_broker_that_forgets_or_is_nearly_full_is_a_problem(own_valkey: Valkey, tmp_path: Path) -> None:
    settings = load_settings(flags={"home": tmp_path, "broker.url": own_valkey.url})
    assert wrong(servers.examine_broker(servers.ask_broker(settings))) == {}
    with own_valkey.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", int(used / 0.9))
    found = list(servers.examine_broker(servers.ask_broker(settings)))
    assert [each.state for each in found][:2] == [Level.OK, Level.PROBLEM]
    assert "redis-cli CONFIG SET maxmemory-policy noeviction" in (found[1].remedy or "")
    assert "when it is full it takes no wake-ups" in found[2].detail

"""An owner who migrates, and a role that may work on rows and nothing else.

That this is enough is shown by all tests that take a PostgreSQL database: they connect as such a role.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, text

from db.engine import Database, open_database
from db.schema import VERSION_TABLE, require_current_schema, upgrade_schema
from db.tables.all import Table
from db.tables.jobs import Job
from pixmill.errors import ConfigError, PermissionDenied, PixmillError
from pixmill.settings import load_settings
from pixmill.specs import JobOptions, PingSpec
from scheduler.submit import submit
from tests.databases import administrate, cloned_postgresql, drop_postgresql, make_role

OWNER, APPLICATION = "pixmill_owner", "pixmill_app"
ODD = 'ann"; DROP TABLE jobs; --'


@dataclass(frozen=True)
class House:
    """A database, seen by its owner and by the application; neither is a superuser."""

    owner: Database
    application: Database
    home: Path


@pytest.fixture
def empty(postgres_server_url: URL, tmp_path: Path) -> Iterator[House]:
    yield from built(postgres_server_url, tmp_path)


@pytest.fixture(scope="module")
def house(postgres_server_url: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One whose owner has made the tables."""
    for found in built(postgres_server_url, tmp_path_factory.mktemp("house")):
        upgrade(found.owner)
        yield found


def built(server: URL, home: Path) -> Iterator[House]:
    for role in (OWNER, APPLICATION):
        make_role(server, role)
    url = cloned_postgresql(server, "template0")
    administrate(server, f"ALTER DATABASE {url.database} OWNER TO {OWNER}")
    found = [opened(url.set(username=role), home) for role in (OWNER, APPLICATION)]
    yield House(found[0], found[1], home)
    for database in found:
        database.dispose()
    drop_postgresql(url, server)


def opened(url: URL, home: Path) -> Database:
    text = url.render_as_string(hide_password=False)
    return open_database(load_settings(flags={"home": home, "database.url": text}))


def attempt(database: Database, statement: str) -> None:
    with database.write() as session:
        session.execute(text(statement))


def upgrade(database: Database) -> None:
    upgrade_schema(database, app_role=APPLICATION)


def test_the_application_may_work_on_rows(house: House) -> None:
    require_current_schema(house.application)
    settings = load_settings(flags={"home": house.home, "broker.url": f"redis+socket://{house.home}/none"})
    done = submit(house.application, settings, PingSpec(), JobOptions(), user="ann")
    assert house.application.consult(lambda session: session.get_one(Job, done.job_id)).user_name == "ann"
    assert len(Table.metadata.sorted_tables) > 20
    for table in Table.metadata.sorted_tables:
        for statement in (f"SELECT count(*) FROM {table.name}", f"DELETE FROM {table.name} WHERE false"):
            attempt(house.application, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE events",
        "ALTER TABLE jobs ADD COLUMN more integer",
        "TRUNCATE events",
        "CREATE TABLE mine (id integer)",
        "CREATE INDEX mine ON jobs (id)",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "CREATE TRIGGER mine BEFORE UPDATE ON jobs EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP SCHEMA public CASCADE",
        "CREATE ROLE mine",
        f"UPDATE {VERSION_TABLE} SET version_num = '0001'",
        f"DELETE FROM {VERSION_TABLE}",
        "COPY jobs TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT setval('jobs_id_seq', 1)",
    ],
)
def test_the_application_may_do_nothing_else(house: House, statement: str) -> None:
    with pytest.raises(PermissionDenied, match="does not allow this role to do that") as caught:
        attempt(house.application, statement)
    assert caught.value.hint is not None
    assert "\n" not in caught.value.message
    require_current_schema(house.application)


def test_the_application_cannot_migrate_and_is_told_who_can(empty: House, house: House) -> None:
    with pytest.raises(PermissionDenied, match="does not allow this role") as caught:
        upgrade(empty.application)
    assert caught.value.exit_code == 77
    assert "db upgrade" in str(caught.value.hint)
    upgrade(house.application)  # finds nothing to do
    with pytest.raises(PermissionDenied, match="belong to another role"):
        upgrade_schema(house.application, app_role=OWNER)


def test_an_upgrade_gives_back_what_was_taken_and_takes_what_was_too_much(house: House) -> None:
    attempt(house.owner, f"REVOKE ALL ON jobs FROM {APPLICATION}")
    attempt(house.owner, f"GRANT TRUNCATE ON events TO {APPLICATION}")
    attempt(house.owner, f"GRANT ALL ON {VERSION_TABLE} TO {APPLICATION}")
    with pytest.raises(PermissionDenied, match="permission denied for table jobs"):
        attempt(house.application, "SELECT count(*) FROM jobs")
    upgrade(house.owner)
    attempt(house.application, "SELECT count(*) FROM jobs")
    for statement in ("TRUNCATE events", f"DELETE FROM {VERSION_TABLE}"):
        with pytest.raises(PermissionDenied):
            attempt(house.application, statement)


def test_a_role_that_the_server_does_not_know_is_named_and_nothing_is_migrated(empty: House) -> None:
    with pytest.raises(ConfigError, match="'nobody_here'") as caught:
        upgrade_schema(empty.owner, app_role="nobody_here")
    assert str(caught.value.hint).startswith("CREATE ROLE nobody_here LOGIN")
    with pytest.raises(PixmillError, match="is empty"):
        require_current_schema(empty.owner)


def test_odd_names_of_roles_are_names_all_the_same(house: House, postgres_server_url: URL) -> None:
    make_role(postgres_server_url, ODD)
    upgrade_schema(house.owner, app_role=ODD)
    holds = "SELECT has_table_privilege(:who, 'jobs', 'INSERT') AND NOT has_table_privilege(:who, 'jobs', 'TRUNCATE')"
    assert house.owner.consult(lambda session: session.scalar(text(holds), {"who": ODD}))

"""Databases for tests: a template is migrated once, and copied for whoever wants one of his own."""

import itertools
import os
import shutil
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url, text

from db.engine import Database, open_database
from db.schema import upgrade_schema
from pixmill.settings import load_settings

TEMPLATE = "pixmill_template"
APP_ROLE = "pixmill_tests_app"
_numbers = itertools.count()


def migrate(url: URL, home: Path) -> None:
    """Bring a database to the newest schema; on PostgreSQL the application role may use it then."""
    if url.drivername.startswith("postgresql"):
        make_role(url, APP_ROLE)
    text = url.render_as_string(hide_password=False)
    database = open_database(load_settings(flags={"home": home, "database.url": text}))
    upgrade_schema(database, app_role=None if database.is_sqlite else APP_ROLE)
    database.dispose()


def administrate(url: URL, *statements: str) -> None:
    """Run statements on a PostgreSQL server, each outside any transaction."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def make_role(server: URL, name: str) -> None:
    """A role who may log in, with its name as its password, unless there is one; roles belong to a whole server."""
    role, password = name.replace('"', '""'), name.replace("'", "''")
    create = f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}'"
    administrate(server, f"DO $$ BEGIN {create}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")


def as_application(url: str) -> str:
    """The same database for the application role, which is how the product uses it."""
    return make_url(url).set(username=APP_ROLE, password=APP_ROLE).render_as_string(hide_password=False)


def make_template(server: URL, home: Path) -> None:
    """Put the migrated database on the server from which others are cloned."""
    administrate(server, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
    migrate(server.set(database=TEMPLATE), home)


def cloned_postgresql(server: URL, template: str = TEMPLATE) -> URL:
    """A new database on the server, migrated unless another template is named; 0.1 s."""
    url = server.set(database=f"pixmill_{os.getpid()}_{next(_numbers)}")
    administrate(server, f"CREATE DATABASE {url.database} TEMPLATE {template}")
    return url


def drop_postgresql(url: URL, server: URL) -> None:
    """Remove a cloned database, whoever is still connected to it."""
    administrate(server, f"DROP DATABASE {url.database} WITH (FORCE)")


def copied_sqlite(template: Path, folder: Path) -> str:
    """The URL of a migrated SQLite file in this folder."""
    file = folder / "pixmill.db"
    shutil.copyfile(template, file)
    return f"sqlite:///{file}"


def somebody_waits(database: Database) -> bool:
    """Whether a transaction waits for a row that another one has locked.  PostgreSQL only."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with database.read() as session:
        return bool(session.scalar(text(waiting)))

"""Databases for tests: a template is migrated once, and copied for whoever wants one of his own."""

import itertools
import os
import shutil
from pathlib import Path

import psycopg
from sqlalchemy import URL, text

from db.engine import Database, open_database
from db.schema import upgrade_schema
from pixmill.settings import load_settings

TEMPLATE = "pixmill_template"
_numbers = itertools.count()


def migrate(url: URL, home: Path) -> None:
    """Bring a database to the newest schema."""
    text = url.render_as_string(hide_password=False)
    database = open_database(load_settings(flags={"home": home, "database.url": text}))
    upgrade_schema(database)
    database.dispose()


def administrate(url: URL, *statements: str) -> None:
    """Run statements on a PostgreSQL server, each outside any transaction."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


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

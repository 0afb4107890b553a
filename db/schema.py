"""The schema's revision: what it is, what it should be, and the way from one to the other."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from db.engine import Database
from pixmill.errors import SchemaMismatch

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "pixmill_schema_version"  # our own, so that Alembic projects can share a database
HEAD = "0015"  # the revision that this code works with; a test compares it with the migrations
REVISIONS = tuple(f"{number:04}" for number in range(1, int(HEAD) + 1))  # oldest first
_UPGRADE_LOCK = 0x7078_6D6C  # any number, the same in every pixmill


class SchemaStatus(StrEnum):
    """How the database's schema relates to this code."""

    OK = "ok"
    EMPTY = "empty"
    BEHIND = "behind"
    AHEAD = "ahead"


@dataclass(frozen=True)
class SchemaState:
    """The revision found, and what it means."""

    status: SchemaStatus
    current: str | None
    head: str = HEAD


def schema_state(database: Database) -> SchemaState:
    """Read the revision: one query.  Raises DatabaseUnreachable."""
    with database.read() as session:
        return _state(session.connection())


def require_current_schema(database: Database) -> None:
    """Raise SchemaMismatch, with the remedy, unless this code can work with the schema."""
    state = schema_state(database)
    if state.status is SchemaStatus.EMPTY:
        raise SchemaMismatch(f"database {database.label} is empty", hint="pixmill db upgrade")
    if state.status is SchemaStatus.BEHIND:
        steps = len(REVISIONS) - 1 - REVISIONS.index(state.current or "")
        raise SchemaMismatch(
            f"database {database.label} is {steps} revision(s) behind ({state.current} → {HEAD})",
            hint="back up, then: pixmill db upgrade",
        )
    if state.status is SchemaStatus.AHEAD:
        raise SchemaMismatch(
            f"database {database.label} was migrated by a newer pixmill: revision {state.current}, {HEAD} is known",
            hint="upgrade pixmill on this host",
        )


def prepare_schema(database: Database) -> None:
    """Create the schema of an empty database; otherwise check it like `require_current_schema`."""
    if schema_state(database).status is SchemaStatus.EMPTY:
        upgrade_schema(database)
    require_current_schema(database)


def upgrade_schema(database: Database, *, app_role: str | None = None) -> tuple[SchemaState, Path | None]:
    """Bring the schema to HEAD; gives the state found before and the path of SQLite's backup copy, if one was made.

    On PostgreSQL the application role, if there is one, may work on the rows then. Any number of processes may call it
    at once: one migrates, the others wait and find nothing to do.
    Raises SchemaMismatch when the database is ahead, DatabaseUnreachable, PermissionDenied for one who is not the
    tables' owner, ConfigError for a role that does not exist.
    """
    with database.migrate() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        before = _state(connection)
        if before.status is SchemaStatus.AHEAD:
            raise SchemaMismatch(
                f"database {database.label} has revision {before.current}, newer than {HEAD}",
                hint="upgrade pixmill on this host",
            )
        backup = _copy_sqlite(database, before)
        if before.status is not SchemaStatus.OK:
            _run_migrations(connection)
        if app_role is not None and not database.is_sqlite:
            from db.roles import grant_rows

            grant_rows(connection, app_role, VERSION_TABLE)
        return before, backup


def _has_version_table(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        return inspect(connection).has_table(VERSION_TABLE)
    # What the inspector asks of PostgreSQL takes more to write than all the rest of a short command's questions.
    return connection.execute(text(f"SELECT to_regclass('{VERSION_TABLE}')")).scalar_one() is not None


def _state(connection: Connection) -> SchemaState:
    if not _has_version_table(connection):
        return SchemaState(SchemaStatus.EMPTY, None)
    current = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608
    if current is None:
        return SchemaState(SchemaStatus.EMPTY, None)
    if current == HEAD:
        return SchemaState(SchemaStatus.OK, current)
    return SchemaState(SchemaStatus.BEHIND if current in REVISIONS else SchemaStatus.AHEAD, current)


def _run_migrations(connection: Connection) -> None:
    from alembic import command

    config = migration_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def migration_config() -> "Config":
    """Alembic's configuration, made in code so that it works from an installed package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("version_table", VERSION_TABLE)
    return config


def _copy_sqlite(database: Database, state: SchemaState) -> Path | None:
    file = database.engine.url.database
    if not database.is_sqlite or state.status is not SchemaStatus.BEHIND or file is None:
        return None
    # The write lock is held: nothing changes while it is copied. Not copied as a file: closing that would drop the
    # locks that this process has on it.
    backup = Path(f"{file}.{state.current}.{time.strftime('%Y%m%dT%H%M%S')}.bak")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    return backup

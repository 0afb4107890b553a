"""How a process connects: what is set on each connection to SQLite and to PostgreSQL."""

import json
import logging
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.pool import ConnectionPoolEntry

from db.forgiving import read_json, refuse_words_for_numbers
from db.statements import translated
from pixmill.errors import ConfigError, PermissionDenied
from pixmill.settings import Settings

WRITE = "pixmill_write"
READ_ONLY_MILLISECONDS = 10_000  # of one statement, for those who only look
MIGRATE = "pixmill_migrate"
KEEPALIVE_SECONDS = 10  # a peer that vanished without a word is noticed after three of these


def sqlite_engine(url: URL, settings: Settings, *, read_only: bool) -> Engine:
    """Connections to a file.  Raises ConfigError, or PermissionDenied for a folder that cannot be made."""
    if not url.database or url.database == ":memory:":
        raise ConfigError("SQLite in memory cannot be shared between processes", hint="leave database.url out")
    if not Path(url.database).is_absolute():
        raise ConfigError(
            f"database.url names the relative path {url.database!r}, another file in every folder",
            hint="write sqlite:////absolute/path, with four slashes, or leave database.url out",
        )
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionDenied(
            f"folder {folder} cannot be made: {error.strerror}", hint="choose another home: PIXMILL_HOME"
        ) from error
    engine = create_engine(
        url,
        connect_args={"timeout": settings.database.busy_timeout_seconds},
        # SQLite finds a key inside JSON only as it was written, not behind an escape.
        json_serializer=partial(json.dumps, ensure_ascii=False),
    )

    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        _prepare_sqlite(connection, settings.database.busy_timeout_seconds, read_only=read_only)

    refuse_words_for_numbers(engine)
    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, busy_seconds: float, *, read_only: bool) -> None:
    raw: Any = connection
    raw.isolation_level = None  # the driver must not begin transactions behind SQLAlchemy's back
    cursor = connection.cursor()
    _enter_wal(cursor, busy_seconds)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", *(("query_only=ON",) if read_only else ())):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _enter_wal(cursor: DBAPICursor, busy_seconds: float) -> None:
    # Where several processes open a new file at once, SQLite refuses this one statement without waiting.
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails at once when another has written in between;
    # IMMEDIATE waits its turn.
    options = connection.get_execution_options()
    if options.get(MIGRATE, False):
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # of no effect once a transaction has begun
    text = "BEGIN IMMEDIATE" if options.get(WRITE, False) else "BEGIN"
    raw: Any = connection.connection.driver_connection
    try:
        raw.execute(text)  # by the driver itself: this stands before everything that is ever asked
    except sqlite3.Error as error:
        raise translated(connection, error, text) from error


def postgresql_engine(url: URL, settings: Settings, *, read_only: bool) -> Engine:
    """Connections to a server.  Raises ConfigError where its driver is not installed."""
    # A process that stands still in the middle of a transaction (a suspended machine, a dead network) must not hold its
    # locks for ever, and nobody waits for a lock without end.
    patience = round(1000 * settings.database.busy_timeout_seconds)
    logging.getLogger("psycopg").addFilter(_is_no_echo)
    server = {"timezone": "UTC", "lock_timeout": patience, "idle_in_transaction_session_timeout": patience}
    if read_only:
        server |= {"default_transaction_read_only": "on", "statement_timeout": READ_ONLY_MILLISECONDS}
    try:
        return create_engine(
            url,
            pool_pre_ping=True,
            use_native_hstore=False,  # no table has that type: nothing is asked about it at each start
            json_deserializer=read_json,
            connect_args={
                "connect_timeout": max(1, round(settings.database.connect_timeout_seconds)),
                "options": " ".join(f"-c {name}={value}" for name, value in server.items()),
                "keepalives_idle": KEEPALIVE_SECONDS,
                "keepalives_interval": KEEPALIVE_SECONDS,
                "keepalives_count": 3,
                # Keepalives are silent while an answer is owed; without this the kernel waits for a quarter of an hour.
                "tcp_user_timeout": 3 * KEEPALIVE_SECONDS * 1000,
            },
        )
    except ModuleNotFoundError as error:
        raise ConfigError(
            "database.url names PostgreSQL, but its driver is not installed", hint="pip install 'pixmill[postgres]'"
        ) from error


def _is_no_echo(record: logging.LogRecord) -> bool:
    """Whether psycopg says more than that an error, which it raises, was followed by another one.

    When the server goes away amid statements that were sent together, the end of their pipeline fails as well. What is
    raised names the cause, and is logged by whoever meets it.
    """
    return not str(record.msg).startswith("error ignored terminating")

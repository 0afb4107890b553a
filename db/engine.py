"""Connections: one engine for a process, write transactions that never fail half way for want of a lock."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, event, literal, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry

from db.connections import MIGRATE, WRITE, postgresql_engine, sqlite_engine
from db.corrupt import KEY, CorruptRows
from db.forgiving import Undeliverable, loosen, undeliverable
from pixmill.errors import ConfigError, DatabaseUnreachable, PermissionDenied
from pixmill.settings import Settings

T = TypeVar("T")

ROOT = "pixmill_root"  # key of a session's info: the storage root
# PostgreSQL took neither side's change and asks the client to run the transaction again.
_RETRYABLE_SQLSTATES = frozenset({"40001", "40P01"})
_NOT_ALLOWED = "42501"
_TLS_WORDS = ("SSL", "certificate")  # of libpq, which tells no numbers
RIGHTS_HINT = "the schema is the owner's: database.app_role and `pixmill db upgrade` in his name, see docs/hosts.md"
TLS_HINT = (
    "sslrootcert in database.url names the authority's file, and the host is named as it certifies: docs/hosts.md"
)
_NO_TABLE = "42P01"  # while a copy is put back there may be none for a while
_ATTEMPTS = 10


class Database:
    """Opens transactions. Reads see one consistent state; writes hold SQLite's write lock from the start."""

    def __init__(self, engine: Engine, label: str, root: Path | None = None) -> None:
        self.engine = engine
        self.label = label  # without the password
        self.corrupt_rows = CorruptRows()
        self._info = {ROOT: root, KEY: self.corrupt_rows}  # what sessions know
        self._is_forgiving = False
        event.listen(engine, "connect", self._prepare)
        # PostgreSQL's default lets every statement of one transaction see another state.
        self._reading = engine if self.is_sqlite else engine.execution_options(isolation_level="REPEATABLE READ")
        self._writing = engine.execution_options(**{WRITE: True})
        self._migrating = engine.execution_options(**{WRITE: True, MIGRATE: True})

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads.  Raises DatabaseUnreachable."""
        with self._translated_errors(), Session(self._reading, expire_on_commit=False, info=self._info) as session:
            yield session

    def consult(self, act: Callable[[Session], T]) -> T:
        """What `act` reads.  Raises DatabaseUnreachable."""
        try:
            with self.read() as session:
                return act(session)
        except Undeliverable as error:
            self._forgive(error)
        with self.read() as session:
            return act(session)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end, or rolls back when the block raises.  Raises DatabaseUnreachable."""
        with (
            self._translated_errors(),
            Session(self._writing, expire_on_commit=False, info=self._info) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def migrate(self) -> Iterator[Connection]:
        """A transaction that may rebuild tables: SQLite checks foreign keys at its end alone.

        Otherwise SQLite would take the dropping of a table for the deletion of its rows, and of all that refers to
        them.  Raises DatabaseUnreachable.
        """
        try:
            with self._translated_errors(), self._migrating.begin() as connection:
                yield connection
                if self.is_sqlite:
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                    assert not broken, f"rows without the row they refer to: {broken[:3]}"
        finally:
            self.engine.dispose()  # the next connection checks foreign keys again

    def transact(self, act: Callable[[Session], T]) -> T:
        """Run `act` in a write transaction, again when PostgreSQL rolled it back for a deadlock.

        `act` may run more than once, so it must touch nothing but the database.
        """
        for attempt in range(_ATTEMPTS):
            try:
                with self.write() as session:
                    return act(session)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in _RETRYABLE_SQLSTATES or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.01 * 2**attempt)
            except Undeliverable as error:
                if attempt == _ATTEMPTS - 1:
                    raise
                self._forgive(error)
        raise AssertionError("unreachable")

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _prepare(self, connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        if self._is_forgiving:
            loosen(connection)

    def _forgive(self, error: Undeliverable) -> None:
        """Read by other connections from now on."""
        self.corrupt_rows.tell("a row", error)
        self._is_forgiving = True
        self.engine.dispose()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            if (refused := undeliverable(error)) is not None:
                raise refused from error
            if getattr(error.orig, "sqlstate", None) in _RETRYABLE_SQLSTATES:
                raise
            raise self._unreachable(error) from error
        except DBAPIError as error:
            # sqlite3 says no more than DatabaseError of a file that is no database, or a broken one.
            if error.connection_invalidated or type(error.orig) is sqlite3.DatabaseError:
                raise self._unreachable(error) from error
            if getattr(error.orig, "sqlstate", None) == _NOT_ALLOWED:
                raise PermissionDenied(
                    f"database {self.label} does not allow this role to do that: {_first_line(error)}", hint=RIGHTS_HINT
                ) from error
            if getattr(error.orig, "sqlstate", None) == _NO_TABLE:
                raise self._unreachable(error) from error
            if (refused := undeliverable(error)) is not None:
                raise refused from error
            raise

    def _unreachable(self, error: DBAPIError) -> DatabaseUnreachable:
        reason = _first_line(error)
        hint = "check that the server runs and that database.url is right: pixmill config show --sources"
        if not self.is_sqlite and any(word in reason for word in _TLS_WORDS):
            return DatabaseUnreachable(f"no TLS with database {self.label}: {reason}", hint=TLS_HINT)
        if self.is_sqlite:
            hint = "it may be held by another process for long, broken or no database, or its disk full: pixmill status"
        return DatabaseUnreachable(f"database {self.label} does not answer: {reason}", hint=hint)


def _first_line(error: DBAPIError) -> str:
    text = str(error.orig).strip()
    return text.splitlines()[0] if text else type(error.orig).__name__


def insert_absent(session: Session, table: type[DeclarativeBase], values: Mapping[str, Any]) -> bool:
    """Insert a row unless a unique constraint says that it is there; False if it was.  Two processes may race."""
    # A command loads the dialect of its own database alone.
    if session.get_bind().dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    inserted = insert(table).values(**values).on_conflict_do_nothing().returning(literal(1))
    return session.scalar(inserted) is not None


def open_database(settings: Settings, *, read_only: bool = False) -> Database:
    """The configured database; nothing is connected or created yet, but SQLite's folder.

    With `read_only` the database itself refuses every write, and PostgreSQL ends a question that takes too long.

    Raises ConfigError for a URL that cannot be read, PermissionDenied for a home that cannot be made.
    """
    url, root = _parse_url(settings.database_url), settings.storage_root
    if url.get_backend_name() == "sqlite":
        return Database(sqlite_engine(url, settings, read_only=read_only), f"{url.database}", root)
    if url.get_backend_name() == "postgresql":
        return Database(postgresql_engine(url, settings, read_only=read_only), _label(url), root)
    raise ConfigError(
        f"database.url names {url.get_backend_name()!r}; pixmill knows sqlite and postgresql",
        hint="postgresql+psycopg://user@host/name, or leave it out for SQLite in the home",
    )


def _label(url: URL) -> str:
    """The URL without what a message about it need not say: the password, and which files TLS takes."""
    files = [name for name in url.query if name.startswith("ssl")]
    return url.difference_update_query(files).render_as_string(hide_password=True)


def _parse_url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        # The text may hold a password: it is not repeated.
        raise ConfigError("database.url is not a database URL", hint="postgresql+psycopg://user@host/name") from None
    if url.drivername == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    return url

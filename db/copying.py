"""A copy of the whole database as it is at one moment, while everything goes on."""

import os
import secrets
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from db.engine import Database
from pixmill.errors import Conflict, DatabaseUnreachable, StorageError, Unavailable

TOOL = "pg_dump"


def back_up(database: Database, target: Path) -> None:
    """Write the database to a new file: one of SQLite, or an archive for `pg_restore`.

    The file appears whole, or not at all. Raises Conflict where one lies already, StorageError, DatabaseUnreachable,
    and Unavailable without a `pg_dump` that knows the server.
    """
    if os.path.lexists(target):
        raise Conflict(f"{target} is there already", hint="name a new file: a copy replaces no other one")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        temporary.touch(mode=0o600)  # it holds all that the database holds
        (_copy_sqlite if database.is_sqlite else _dump_postgresql)(database, temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.link(temporary, target)  # unlike a rename, replaces nothing
        _sync(target.parent)
    except FileExistsError:
        raise Conflict(f"{target} is there already", hint="name a new file") from None
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}", hint="name another folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def _copy_sqlite(database: Database, target: Path) -> None:
    file = database.engine.url.database
    assert file is not None
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)  # begins anew when another process writes meanwhile
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, whoever opens it
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        message = f"database {database.label} cannot be copied: {error}"
        raise DatabaseUnreachable(message, hint="pixmill doctor") from error
    if found != "ok":
        raise StorageError(f"the copy of {database.label} is damaged: {found}", hint="pixmill doctor --deep")


def _dump_postgresql(database: Database, target: Path) -> None:
    tool = shutil.which(TOOL)
    if tool is None:
        raise Unavailable(
            f"{TOOL} is not on the PATH; PostgreSQL is copied by it alone",
            hint="install the client programs of the server's version, on Debian: apt install postgresql-client",
        )
    url = database.engine.url
    name = url.set(drivername="postgresql", password=None).render_as_string()
    password = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    words = [tool, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}", f"--dbname={name}"]
    done = subprocess.run(words, env={**os.environ, **password}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[0]
        raise Unavailable(
            f"{TOOL} could not copy database {database.label}: {said}",
            hint=f"{tool} must be of the server's version, or newer, and the account the owner's, which reads all",
        )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

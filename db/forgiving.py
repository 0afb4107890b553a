"""What a driver cannot hand over at all, and what SQLite hands over as if it were right.

Python's sqlite3 gives up a whole answer for letters that are no UTF-8, and psycopg for a time beyond Python's. A
database in which such a thing was met is read by `loosened` connections from then on: with marks for the letters, and
times that only their row's reader refuses. Nobody else pays for that.
"""

import json
import sqlite3
from functools import cache
from typing import Any

from sqlalchemy import Dialect, Engine, Float, Integer
from sqlalchemy.exc import DBAPIError

from db.types import CORRUPT_HINT, Reader, strict
from pixmill.errors import CorruptRow

_NO_LETTERS = "Could not decode to UTF-8"  # as sqlite3 says it
_NO_TIME = "timestamp"  # so psycopg begins, over what it has got


class Undeliverable(CorruptRow):
    """The driver has given up an answer for one value; loosened connections deliver it."""


def undeliverable(error: DBAPIError) -> Undeliverable | None:
    """What a driver's error says of a value that it cannot hand over; None for any other error."""
    said = str(error.orig)
    if isinstance(error.orig, sqlite3.OperationalError):
        is_one = said.startswith(_NO_LETTERS)
    else:  # what the server refuses has a state
        is_one = said.startswith(_NO_TIME) and getattr(error.orig, "sqlstate", None) is None
    return Undeliverable(f"the database holds what cannot be read: {said[:200]}", hint=CORRUPT_HINT) if is_one else None


def loosen(connection: Any) -> None:
    """Let a driver's connection hand over all that there is."""
    if isinstance(connection, sqlite3.Connection):
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    else:
        connection.adapters.register_loader("timestamptz", _loose_loader())


@cache
def _loose_loader() -> Any:
    from psycopg import DataError
    from psycopg.types.datetime import TimestamptzLoader

    class Loose(TimestamptzLoader):
        """Gives the server's words for what is no datetime."""

        def load(self, data: Any) -> Any:
            """As the parent's."""
            try:
                return super().load(data)
            except DataError:
                return bytes(data).decode()

    return Loose


class _JsonNull:
    """JSON's null, which psycopg would hand over as if there were nothing: nobody writes it."""

    def __repr__(self) -> str:
        return "null"


def read_json(text: str | bytes) -> Any:
    """As json.loads, for PostgreSQL's driver; null is no None."""
    found = json.loads(text)
    return _JSON_NULL if found is None else found


_JSON_NULL = _JsonNull()


class _Whole(Integer):
    def result_processor(self, dialect: Dialect, coltype: object) -> Reader:  # noqa: ARG002  as the parent
        """As it is; what is no number raises CorruptRow."""
        return strict(None, "a whole number", int)


class _Real(Float[float]):
    def result_processor(self, dialect: Dialect, coltype: object) -> Reader:  # noqa: ARG002  as the parent
        """As it is; what is no number raises CorruptRow."""
        return strict(None, "a number", (int, float))


def refuse_words_for_numbers(engine: Engine) -> None:
    """Let SQLite's columns of numbers hold numbers: their types bind nobody there."""
    engine.dialect.colspecs = {**engine.dialect.colspecs, Integer: _Whole, Float: _Real}

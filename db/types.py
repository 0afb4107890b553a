"""Column types and SQL functions that mean the same on SQLite and on PostgreSQL."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from sqlalchemy import JSON, BigInteger, Boolean, ColumnElement, DateTime, Dialect, Enum, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine

from pixmill.errors import CorruptRow

CORRUPT_HINT = "somebody else has written there: restore a backup, or remove what the row belongs to"
SHOWN_LETTERS = 60  # of a value that cannot be


Reader = Callable[[Any], Any] | None


def strict(read: Reader, what: str, wanted: type | tuple[type, ...] = object) -> Reader:
    """What reads a value of a row, and raises CorruptRow for one that no pixmill has written."""

    def checked(value: Any) -> Any:
        try:
            found = value if read is None else read(value)
        except (LookupError, ValueError, TypeError, RecursionError):
            raise _corrupt(value, what) from None
        if value is not None and not isinstance(found, wanted):  # JSON has a null of its own, which nobody writes
            raise _corrupt(value, what)
        return found

    return checked


def _corrupt(value: object, what: str) -> CorruptRow:
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN_LETTERS else f"{shown[:SHOWN_LETTERS]}…"
    return CorruptRow(f"the database holds {shown} where {what} belongs", hint=CORRUPT_HINT)


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC: `timestamptz` on PostgreSQL, text that sorts in order of time on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Reader:
        """As the parent's; what is no time raises CorruptRow."""
        return strict(super().result_processor(dialect, coltype), "a time", datetime)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse times without a zone: they would be read as the server's."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """SQLite gives the time back without its zone."""
        if value is None:
            return None
        if not isinstance(value, datetime):  # see db.forgiving
            raise TypeError(value)
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class now(FunctionElement[datetime]):  # noqa: N801  reads as the SQL function that it is
    """The database's own clock at this very statement, so that no host's clock decides anything."""

    type = UtcTime()
    inherit_cache = True


@compiles(now, "postgresql")
def _now_postgresql(_element: now, _compiler: SQLCompiler, **_options: Any) -> str:
    # now() stands still inside a transaction; a lease must not start in the past.
    return "clock_timestamp()"


@compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiler: SQLCompiler, **_options: Any) -> str:
    # Same width as the values that SQLAlchemy writes, so that text order is time order.
    return "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"


class _IdList(TypeDecorator[Sequence[int]]):
    """Many ids in one parameter: an array on PostgreSQL, JSON on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> "TypeEngine[Any]":
        """The type that this kind of database has for it."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(Text())
        from sqlalchemy.dialects.postgresql import ARRAY

        return dialect.type_descriptor(ARRAY(BigInteger()))

    def process_bind_param(self, value: Sequence[int] | None, dialect: Dialect) -> Any:
        """A list for PostgreSQL's driver, text for SQLite's."""
        ids = list(value or ())
        return ids if dialect.name == "postgresql" else json.dumps(ids)


class _Among(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002  as the parent
        """As it is: SQLAlchemy would compare it with 1 for SQLite, which then uses no index."""
        return self


def among(column: ColumnElement[int], parameter: str) -> ColumnElement[bool]:
    """The column's value is one of those in the named parameter: as IN, with one text however many they are."""
    return _Among(column, bindparam(parameter, type_=_IdList()))


@compiles(_Among, "postgresql")
def _among_postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, ids = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY ({ids})"


@compiles(_Among, "sqlite")
def _among_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, ids = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608  made of what SQLAlchemy has compiled


class _Json(TypeDecorator[Any]):
    """JSON of one kind, an object or a list: JSONB on PostgreSQL, text on SQLite."""

    impl = JSON
    cache_ok = True

    def __init__(self, wanted: type) -> None:
        super().__init__()
        self.wanted = wanted

    def load_dialect_impl(self, dialect: Dialect) -> "TypeEngine[Any]":
        """The type that this kind of database has for it."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON())
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB())

    def coerce_compared_value(self, op: OperatorType | None, value: Any) -> "TypeEngine[Any]":
        """As JSON's own: what is inside is compared as what it is."""
        return self.impl_instance.coerce_compared_value(op, value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Reader:
        """As the parent's; what is no such JSON raises CorruptRow."""
        return strict(super().result_processor(dialect, coltype), _KIND_OF[self.wanted], self.wanted)


_KIND_OF: dict[type, str] = {dict: "an object of JSON", list: "a list of JSON"}


def json_of(wanted: type) -> _Json:
    """The type of a column with objects (dict) or lists of JSON."""
    return _Json(wanted)


class _Word(TypeDecorator[StrEnum]):
    """A text for a member of an enum, by its value; the database checks by a constraint that it is one."""

    impl = Enum
    cache_ok = True

    def __init__(self, members: type[StrEnum], *, checked: bool) -> None:
        super().__init__(
            members,
            values_callable=lambda cls: [member.value for member in cls],
            native_enum=False,
            create_constraint=checked,
            length=32,
            name=members.__name__.lower(),
        )
        self.members = members  # by which SQLAlchemy tells such types apart

    def result_processor(self, dialect: Dialect, coltype: object) -> Reader:  # noqa: ARG002  as the parent
        """The member; what is none raises CorruptRow."""
        members = {member.value: member for member in self.members}
        what = f"one of {', '.join(members)}"

        def read(value: Any) -> Any:
            if value is None:
                return None
            try:
                return members[value]
            except (KeyError, TypeError):
                raise _corrupt(value, what) from None

        return read


def enum_by_value(members: type[StrEnum], *, checked: bool = True) -> _Word:
    """A text column for the enum's values, which the database checks by a constraint."""
    return _Word(members, checked=checked)

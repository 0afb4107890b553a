"""Statements that run for every task, built once and sent without detours.

For a short statement SQLAlchemy's way to the driver and back costs more than the database. So the statements of the hot
path are written with SQLAlchemy, compiled once for each kind of database, and then handed to the driver as they are;
values are turned into the driver's, and errors into SQLAlchemy's, by SQLAlchemy's own rules.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ClauseElement, Column, ColumnElement, Connection, Dialect, Insert, bindparam, insert, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate, Update

from pixmill.errors import CorruptRow

Condition = ColumnElement[bool]
Mend = Callable[[Any, CorruptRow], Any]  # see `db.corrupt.sound_rows`
_Processor = Callable[[Any], Any]
_CONNECTION = "pixmill_connection"
_SHAPES = 256  # far more than there are; conditions that are made anew each time push each other out


def fetch(session: Session, statement: Any, parameters: Mapping[str, Any]) -> list[Any]:
    """The rows of a statement, as named tuples; none for one that returns nothing.

    Fast when the statement is the same object at every call. Unlike `Session.execute` it writes out no pending objects
    of the session first.  Raises sqlalchemy.exc.DBAPIError, CorruptRow, or KeyError for a parameter that is not given.
    """
    return fetch_with(session, statement, parameters, None)


def fetch_with(session: Session, statement: Any, parameters: Mapping[str, Any], mend: Mend | None) -> list[Any]:
    """As `fetch`, where `mend` says what stands for a row that cannot be read."""
    connection = _connection(session)
    prepared = _prepared(statement, connection.dialect)
    values = prepared.values(parameters)
    with _cursor(connection, prepared.text, values) as cursor:
        cursor.execute(prepared.text, values)
        return prepared.rows(cursor, mend) if prepared.returns_rows else []


def send_each(session: Session, statement: Any, rows: Sequence[Mapping[str, Any]]) -> int:
    """Run a statement that returns nothing once for each set of parameters; gives how many rows it changed in all.

    They leave together, so that nobody waits for one answer after the other.  Raises as `fetch`.
    """
    if not rows:
        return 0
    connection = _connection(session)
    prepared = _prepared(statement, connection.dialect)
    values = [prepared.values(row) for row in rows]
    with _cursor(connection, prepared.text, values) as cursor:
        cursor.executemany(prepared.text, values)
        return int(cursor.rowcount)


@contextmanager
def _cursor(connection: Connection, text: str, values: Any) -> Iterator[Any]:
    """The driver's cursor; its errors leave as SQLAlchemy's."""
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except connection.dialect.loaded_dbapi.Error as error:
        raise translated(connection, error, text, values, cursor) from error
    finally:
        cursor.close()


def _connection(session: Session) -> Connection:
    """The session's connection, remembered: asking it anew for every statement would cost more than to send one."""
    known: Connection | None = session.info.get(_CONNECTION)
    if known is None or known.closed:
        known = session.info[_CONNECTION] = session.connection()
    return known


def translated(connection: Connection, error: Any, text: str, values: Any = None, cursor: Any = None) -> Exception:
    """The driver's error over a statement as SQLAlchemy would raise it; a connection that is lost is given up."""
    dialect = connection.dialect
    is_lost = dialect.is_disconnect(error, connection.connection, cursor)
    if is_lost:
        connection.invalidate(error)
    kind = dialect.loaded_dbapi.Error
    made: Exception = DBAPIError.instance(text, values, error, kind, connection_invalidated=is_lost, dialect=dialect)
    return made


def update_row(
    session: Session,
    table: Any,
    where: tuple[Condition, ...],
    values: Mapping[str, Any],
    parameters: Mapping[str, Any],
    returning: tuple[Any, ...] = (),
    mend: Mend | None = None,
) -> Any:
    """As `update_all`, where no more than one row can match; gives what it returned, or None."""
    found = update_all(session, table, where, values, parameters, returning, mend)
    assert len(found) <= 1
    return found[0] if found else None


def update_all(
    session: Session,
    table: Any,
    where: tuple[Condition, ...],
    values: Mapping[str, Any],
    parameters: Mapping[str, Any],
    returning: tuple[Any, ...] = (),
    mend: Mend | None = None,
) -> list[Any]:
    """Set `values` (plain, or SQL expressions) where all conditions hold; gives what the rows returned.

    `parameters` fill the bound parameters of the conditions, whose names must not be those of columns. Fast when
    conditions and expressions are the same objects at every call. `mend` is that of `fetch_with`.
    """
    statement, plain = _update_of(table, where, values, returning)
    return fetch_with(session, statement, {**parameters, **plain}, mend)


def update_each(
    session: Session,
    table: Any,
    where: tuple[Condition, ...],
    values: Mapping[str, Any],
    rows: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> int:
    """As `update_all` once for each (parameters, values of this row alone); gives how many rows were changed.

    All rows name the same columns.
    """
    if not rows:
        return 0
    statement, plain = _update_of(table, where, {**values, **rows[0][1]}, ())
    own = [{**parameters, **plain, **_new(changes)} for parameters, changes in rows]
    return send_each(session, statement, own)


def insert_row(session: Session, table: Any, values: Mapping[str, Any]) -> None:
    """Add one row."""
    insert_rows(session, table, [values])


def insert_rows(session: Session, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows that all name the same columns."""
    if len(rows) == 1:
        fetch(session, _insert(table, tuple(rows[0])), rows[0])
    elif rows:
        send_each(session, _insert(table, tuple(rows[0])), rows)


def _update_of(
    table: Any, where: tuple[Condition, ...], values: Mapping[str, Any], returning: tuple[Any, ...]
) -> tuple[Any, dict[str, Any]]:
    """The statement, and the values of its plain parameters."""
    expressions = tuple((name, value) for name, value in values.items() if isinstance(value, ClauseElement))
    plain = _new({name: value for name, value in values.items() if not isinstance(value, ClauseElement)})
    return _update(table, where, tuple(plain), expressions, returning), plain


def _new(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in values.items()}


@lru_cache(maxsize=_SHAPES)
def _update(
    table: Any,
    where: tuple[Condition, ...],
    plain: tuple[str, ...],
    expressions: tuple[tuple[str, Any], ...],
    returning: tuple[Any, ...],
) -> "Update | ReturningUpdate[Any]":
    values: dict[str, Any] = {name.removeprefix("new_"): bindparam(name) for name in plain}
    statement = update(table).where(*where).values({**values, **dict(expressions)})
    return statement.returning(*returning) if returning else statement


@cache
def _insert(table: Any, names: tuple[str, ...]) -> Insert:
    return insert(table).values({name: bindparam(name) for name in names}).inline()


class _Prepared:
    """A statement as one kind of database takes it."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        assert not compiled.post_compile_params, f"its text depends on its values: {compiled}"
        self.text: str = compiled.string
        fixed = {name for bind, name in compiled.bind_names.items() if not bind.required}
        self._fixed = {name: value for name, value in compiled.params.items() if name in fixed}
        self._order: Sequence[str] | None = compiled.positiontup
        self._into = {name: _into_driver(bind.type, dialect) for bind, name in compiled.bind_names.items()}
        columns = list(getattr(statement, "exported_columns", ()))
        self.returns_rows = bool(columns)
        self._row = _row_type(tuple(column.key for column in columns))
        self._names = [str(column) if isinstance(column, Column) else column.key for column in columns]
        self._dialect = dialect
        self._kinds = [column.type for column in columns]
        self._out_of: list[_Processor | None] = []  # known with the first answer

    def values(self, parameters: Mapping[str, Any]) -> Any:
        """The parameters as the driver takes them."""
        given = {**self._fixed, **parameters}
        ready = {name: into(given[name]) if into else given[name] for name, into in self._into.items()}
        return ready if self._order is None else tuple(ready[name] for name in self._order)

    def rows(self, cursor: Any, mend: Mend | None) -> list[Any]:
        """What the driver gives, as it is to be read."""
        if not self._out_of:
            codes = [column[1] for column in cursor.description]
            self._out_of = [
                _out_of_driver(kind, code, self._dialect) for kind, code in zip(self._kinds, codes, strict=True)
            ]
        found = cursor.fetchall()
        try:
            return [self._row._make(map(_processed, self._out_of, row)) for row in found]
        except CorruptRow:
            each = [self._read(row) for row in found]
        if mend is None:
            raise next(error for _row, error in each if error is not None)
        mended = [row if error is None else mend(row, error) for row, error in each]
        return [row for row in mended if row is not None]

    def _read(self, row: Any) -> tuple[Any, CorruptRow | None]:
        """A row with None for what cannot be read in it, and what is wrong with it."""
        wrong: CorruptRow | None = None
        values = []
        for name, process, value in zip(self._names, self._out_of, row, strict=True):
            try:
                values.append(_processed(process, value))
            except CorruptRow as error:
                wrong = wrong or CorruptRow(f"{error.message} ({name})", hint=error.hint)
                values.append(None)
        return self._row._make(values), wrong


def _processed(process: _Processor | None, value: Any) -> Any:
    return value if process is None else process(value)


def _row_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names)  # noqa: PYI024  known at run time alone


@lru_cache(maxsize=2 * _SHAPES)
def _prepared(statement: Any, dialect: Dialect) -> _Prepared:
    return _Prepared(statement, dialect)


def _into_driver(kind: Any, dialect: Dialect) -> _Processor | None:
    found: _Processor | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return found


def _out_of_driver(kind: Any, code: Any, dialect: Dialect) -> _Processor | None:
    found: _Processor | None = kind.dialect_impl(dialect).result_processor(dialect, code)
    return found

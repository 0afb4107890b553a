"""Statements that run for every task, built once.

Building an UPDATE out of its parts costs more than running it. So its shape is kept: the table, the conditions, which
columns are set, and what is returned; the values come as parameters.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, Insert, Row, bindparam, insert, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate, Update

Condition = ColumnElement[bool]
_SHAPES = 256  # far more than there are; conditions that are made anew each time push each other out


def update_rows(
    session: Session,
    table: Any,
    where: tuple[Condition, ...],
    values: Mapping[str, Any],
    parameters: Mapping[str, Any],
    returning: tuple[Any, ...] = (),
) -> "Row[Any] | None":
    """Set `values` (plain, or SQL expressions) where all conditions hold; gives what one row returned, or None.

    `parameters` fill the bound parameters of the conditions, whose names must not be those of columns. Fast when
    conditions and expressions are the same objects at every call.
    """
    expressions = tuple((name, value) for name, value in values.items() if isinstance(value, ClauseElement))
    plain = {f"new_{name}": value for name, value in values.items() if not isinstance(value, ClauseElement)}
    statement = _update(table, where, tuple(plain), expressions, returning)
    result = session.execute(statement, {**parameters, **plain})
    return result.one_or_none() if returning else None


def insert_row(session: Session, table: Any, values: Mapping[str, Any]) -> None:
    """Add one row."""
    session.execute(_insert(table), dict(values))


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
def _insert(table: Any) -> Insert:
    return insert(table)

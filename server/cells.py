"""Cells of tables: a text, and what is to be known of it to show it well."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Row = list["Cell"]


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table."""

    text: str
    href: str | None = None
    kind: str = ""  # "number", "state", "words" or "mono"


@dataclass(frozen=True)
class Column:
    """The head of a column."""

    title: str
    kind: str = ""


def columns(text: str) -> list[Column]:
    """Heads, with | between them; # marks numbers, and ~ long words.

    >>> columns("ID#|name|reason~")[0], [column.title for column in columns("ID#|name")]
    (Column(title='ID', kind='number'), ['ID', 'name'])
    """
    kinds = {"#": "number", "~": "words"}
    return [Column(part.rstrip("#~"), kinds.get(part[-1], "")) for part in text.split("|")]


def rows(found: Iterable[Sequence[Any]], heads: Sequence[Column]) -> list[Row]:
    """Cells of plain texts, by the kinds of their columns."""
    return [
        [cell if isinstance(cell, Cell) else Cell(cell, kind=head.kind) for cell, head in zip(row, heads, strict=True)]
        for row in found
    ]


def job_link(job_id: int | None, text: str | None = None) -> Cell:
    """A job by its number; a dash for none."""
    return Cell("–", kind="number") if job_id is None else Cell(text or str(job_id), f"/jobs/{job_id}", "number")


def model_link(name: str, text: str | None = None) -> Cell:
    """A model by its name."""
    return Cell(text or name, f"/models/{quote(name, safe='')}")


def state_cell(state: str) -> Cell:
    """A state with its mark."""
    return Cell(state, kind="state")

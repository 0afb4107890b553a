"""What goes to stdout (data) and to stderr (talk).

A table on a terminal fits the terminal's width and may be coloured; the same table in a pipe is plain and whole.
JSON is written by `json` alone: whatever knows about terminals breaks lines.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

import click

from cli.formatting import columns_of, cut, printable
from pixmill.times import write_time

GAP = "  "
SMALLEST = 4  # characters that a cell keeps on the narrowest terminal

STATE_COLORS: Mapping[str, str] = {
    "running": "cyan",
    "queued": "blue",
    "held": "magenta",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "skipped": "yellow",
    "submitted": "cyan",
    "ok": "green",
    "free": "green",
    "busy": "cyan",
    "paused": "magenta",
    "full": "yellow",
    "draining": "magenta",
    "drained": "magenta",
    "deaf": "red",
    "silent": "red",
    "down": "red",
    "low": "red",
    "over": "red",
    "warning": "yellow",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    align: Literal["left", "right"] = "left"
    shrinks: bool = False  # may be cut where the terminal is narrow
    least: int = SMALLEST  # characters that it should keep; other columns are dropped for them
    dropped: int = 0  # leaves a table that does not fit otherwise; the greatest first, 0 never
    wide: bool = False  # stands in -o wide alone


Row = Sequence[str]


def print_table(columns: Sequence[Column], rows: Sequence[Row], *, empty: str) -> None:
    """Print a table to stdout; without rows, say `empty` on stderr instead."""
    if not rows:
        say(empty)
        return
    width = terminal_columns() if is_terminal(sys.stdout) else None
    for line in table_lines(columns, rows, width=width, colored=has_colors(sys.stdout)):
        click.echo(line, color=True)


def table_lines(columns: Sequence[Column], rows: Sequence[Row], *, width: int | None, colored: bool) -> list[str]:
    """The lines of a table, none longer than `width` columns."""
    cells = [[printable(cell) for cell in row] for row in rows]
    chosen = list(range(len(columns)))
    widths = _natural_widths(columns, cells)
    if width is not None:
        chosen = _fitting_columns(columns, widths, width)
        widths = _shrunk(columns, widths, chosen, width)
    lines = [_fitted(columns, row, widths, chosen, width, colored=colored) for row in cells]
    head = _fitted(columns, [column.title for column in columns], widths, chosen, width, colored=False)
    return [click.style(head, bold=True) if colored else head, *lines]


def _fitted(
    columns: Sequence[Column],
    row: Row,
    widths: Sequence[int],
    chosen: Sequence[int],
    width: int | None,
    *,
    colored: bool,
) -> str:
    plain = _line(columns, row, widths, chosen, colored=False)
    if width is not None and columns_of(plain) > width:
        return cut(plain, width)
    return _line(columns, row, widths, chosen, colored=True) if colored else plain


def _natural_widths(columns: Sequence[Column], rows: Sequence[Row]) -> list[int]:
    return [
        max([columns_of(column.title), *(columns_of(row[place]) for row in rows)])
        for place, column in enumerate(columns)
    ]


def _fitting_columns(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """The places of the columns that can be shown when those that shrink are as narrow as they may be."""
    chosen = list(range(len(columns)))
    for place in sorted(chosen, key=lambda place: -columns[place].dropped):
        least = [_least(columns[kept], widths[kept]) for kept in chosen]
        if sum(least) + len(GAP) * (len(chosen) - 1) <= width or not columns[place].dropped:
            break
        chosen.remove(place)
    return chosen


def _least(column: Column, natural: int) -> int:
    return min(natural, max(column.least, columns_of(column.title))) if column.shrinks else natural


def _bare_least(column: Column, natural: int) -> int:
    return min(natural, max(SMALLEST, columns_of(column.title))) if column.shrinks else natural


def _shrunk(columns: Sequence[Column], widths: Sequence[int], chosen: Sequence[int], width: int) -> list[int]:
    """Take from the widest shrinking column, one character at a time, until the table fits."""
    shrunk = list(widths)
    excess = sum(shrunk[place] for place in chosen) + len(GAP) * (len(chosen) - 1) - width
    for least in (_least, _bare_least):
        while excess > 0:
            able = [place for place in chosen if shrunk[place] > least(columns[place], widths[place])]
            if not able:
                break
            shrunk[max(able, key=lambda place: shrunk[place])] -= 1
            excess -= 1
    return shrunk


def _line(columns: Sequence[Column], row: Row, widths: Sequence[int], chosen: Sequence[int], *, colored: bool) -> str:
    return GAP.join(_cell(columns[place], row[place], widths[place], colored) for place in chosen).rstrip()


def _cell(column: Column, text: str, width: int, colored: bool) -> str:
    short = cut(text, width)
    padding = " " * (width - columns_of(short))
    color = STATE_COLORS.get(text) if colored and column.title == "STATE" else None
    shown = click.style(short, fg=color) if color else short
    return padding + shown if column.align == "right" else shown + padding


def print_fields(fields: Mapping[str, str], *, indent: str = "  ") -> None:
    """Print names and values, one pair a line; values are not cut, so that they can be copied."""
    width = max(map(columns_of, fields), default=0)
    for name, value in fields.items():
        shown = _styled_state(value) if name == "state" else printable(value)
        click.echo(f"{indent}{name}{' ' * (width - columns_of(name))}  {shown}".rstrip(), color=True)


def print_title(text: str, *, gap: bool = False) -> None:
    """Print the title of a part of a screen, after an empty line if it is not the first."""
    if gap:
        click.echo()
    click.echo(click.style(printable(text), bold=True) if has_colors(sys.stdout) else printable(text), color=True)


def _styled_state(state: str) -> str:
    color = STATE_COLORS.get(state)
    return click.style(state, fg=color) if color and has_colors(sys.stdout) else state


def print_list(schema: str, items: Sequence[Mapping[str, Any]], following: Mapping[str, Any] | None = None) -> None:
    """Print the JSON envelope of a list; `following` holds the options that give the next part."""
    _print_json({"schema": f"pixmill.{schema}/1", "items": list(items), "next": following})


def print_item(schema: str, item: Mapping[str, Any]) -> None:
    """Print the JSON envelope of one thing."""
    _print_json({"schema": f"pixmill.{schema}/1", "item": item})


def _print_json(document: Mapping[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2, default=_plain))


def json_line(item: Mapping[str, Any]) -> str:
    """One thing as one line."""
    return json.dumps(item, default=_plain)


def plain_json(document: Mapping[str, Any]) -> Any:
    """The document with texts in place of times and paths."""
    return json.loads(json.dumps(document, default=_plain))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return write_time(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_ids(ids: Sequence[int]) -> None:
    """Print one id a line."""
    for number in ids:
        click.echo(str(number))


def say(text: str) -> None:
    """Tell the person at the terminal something that is not data."""
    # Not by click.echo: it goes past the proxy with which live bars make room for other lines.
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def say_next(*commands: str) -> None:
    """Tell which commands may be wanted next."""
    for command in commands:
        say(f"  {command}")


def is_terminal(stream: IO[Any]) -> bool:
    """Whether a person looks at the stream."""
    return stream.isatty()


def can_animate() -> bool:
    """Whether stderr is a terminal that can redraw a line."""
    return can_redraw(sys.stderr)


def can_redraw(stream: IO[Any]) -> bool:
    """Whether what was written to the stream can be written over."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def has_colors(stream: IO[Any]) -> bool:
    """Whether to colour what goes to the stream: never against NO_COLOR, nor on a dumb terminal."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_columns() -> int:
    """The terminal's width."""
    return shutil.get_terminal_size(fallback=(80, 24)).columns

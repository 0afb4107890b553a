"""Lists: the same things as a table, as JSON, as lines of JSON, as CSV, or as ids.

A listing names its envelope, whose schema says which fields its CSV has, and the columns of its table.
"""

import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Generic, TypeVar

import click

from cli.output import Column, Row, json_line, print_list, print_table
from cli.params import stacked
from client.moments import choose_utc
from pixmill.errors import UserError
from pixmill.names import suggestion
from pixmill.times import write_time

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")

LINES = ("ndjson", "csv", "ids")  # formats that are written thing by thing
_CHOSEN = ("table", "wide", "csv")  # formats that have columns


@dataclass(frozen=True, kw_only=True)
class Listing:
    """How the things of one sort are listed."""

    schema: str  # "queue_list"
    columns: Sequence[Column]  # those that are `wide` stand in -o wide alone

    @property
    def formats(self) -> tuple[str, ...]:
        """What -o takes; the first is the default."""
        wide = ("wide",) if any(column.wide for column in self.columns) else ()
        return ("table", *wide, "json", *LINES)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the command line wants a list to look like."""

    output_format: str
    names: tuple[str, ...] | None = None  # of --columns

    @property
    def is_streamed(self) -> bool:
        """Whether things are printed one by one, so that none needs to be kept."""
        return self.output_format in LINES

    @property
    def is_table(self) -> bool:
        """Whether a person reads it."""
        return self.output_format in ("table", "wide")


def listing_options(listing: Listing) -> Callable[[Command], Command]:
    """The options -o, --columns and --utc; the command is given a `Shape` as `shape`."""

    def add(function: Command) -> Command:
        @wraps(function)
        def command(*args: Any, output_format: str, columns: tuple[str, ...] | None, **flags: Any) -> Any:
            if columns is not None and output_format not in _CHOSEN:
                raise click.UsageError(f"--columns goes with a table or csv, not with -o {output_format}")
            return function(*args, shape=Shape(output_format=output_format, names=columns), **flags)

        with_options: Command = stacked(_options(listing))(command)
        return with_options

    return add


def _options(listing: Listing) -> list[Callable[[Any], Any]]:
    formats = listing.formats
    return [
        click.option(
            "-o",
            "output_format",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="How to print it.",
        ),
        click.option(
            "--columns",
            metavar="A,B",
            callback=_split,
            help="Which columns of the table, or fields of the JSON, in which order.",
        ),
        utc_option,
    ]


def _split(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(name.strip() for name in value.split(","))


def _begin_utc(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        choose_utc(True)


# Eager: words such as `today`, in other options, are meant in UTC then.
utc_option = click.option(
    "--utc",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_begin_utc,
    help="Times in UTC, instead of how long ago.",
)


@dataclass(frozen=True, kw_only=True)
class Telling(Generic[T]):
    """How one thing is told."""

    to_json: Callable[[T], Mapping[str, Any]]
    row: Callable[[T], Row]  # the cells of all columns
    ident: Callable[[T], object]  # what other commands call it
    arrange: Callable[[Sequence[T]], Sequence[Row]] | None = None  # all rows, where a table is more than row by row


def print_listing(
    listing: Listing,
    shape: Shape,
    things: Iterable[T],
    telling: Telling[T],
    *,
    empty: str,
    following: Mapping[str, Any] | None = None,
) -> None:
    """Print things in the wanted shape; without any, a table says `empty` on stderr.

    Raises UserError for a column that does not exist.
    """
    match shape.output_format:
        case "json":
            print_list(listing.schema, [telling.to_json(thing) for thing in things], following)
        case "ndjson":
            for thing in things:
                click.echo(json_line(telling.to_json(thing)))
        case "ids":
            for thing in things:
                click.echo(str(telling.ident(thing)))
        case "csv":
            _print_csv(listing, shape, things, telling)
        case _:
            columns, rows = _table(listing, shape, list(things), telling)
            print_table(columns, rows, empty=empty)


@dataclass(frozen=True, kw_only=True)
class _Picked:
    """One column that was asked for: a place in the table, or else a field of the JSON."""

    field: str
    place: int | None = None


def _table(
    listing: Listing, shape: Shape, things: Sequence[T], telling: Telling[T]
) -> tuple[Sequence[Column], Sequence[Row]]:
    """The columns and rows of a table."""
    if shape.names is None:
        is_wide = shape.output_format == "wide"
        picked = [
            _Picked(field="", place=place) for place, column in enumerate(listing.columns) if is_wide or not column.wide
        ]
    else:
        picked = [_picked_for_table(listing, name) for name in shape.names]
    columns = [
        Column(title=one.field.upper(), shrinks=True) if one.place is None else listing.columns[one.place]
        for one in picked
    ]
    places = [one.place for one in picked if one.place is not None]
    if len(places) == len(picked) and telling.arrange is not None:
        return columns, [[row[place] for place in places] for row in telling.arrange(things)]
    return columns, [_cells(thing, picked, telling, absent="–") for thing in things]


def _print_csv(listing: Listing, shape: Shape, things: Iterable[T], telling: Telling[T]) -> None:
    """RFC 4180 with a head; values are what they are, also where a spreadsheet would take them for formulas."""
    from cli.envelopes import flat_fields

    fields = flat_fields(listing.schema)
    names = fields if shape.names is None else shape.names
    picked = [_picked_for_csv(listing, fields, name) for name in names]
    writer = csv_writer()
    writer.writerow(one.field for one in picked)
    for thing in things:
        writer.writerow(_cells(thing, picked, telling, absent=""))


def csv_writer() -> Any:
    """Writes rows to stdout as RFC 4180 has them."""
    return csv.writer(sys.stdout)


def _cells(thing: T, picked: Sequence[_Picked], telling: Telling[T], *, absent: str) -> list[str]:
    item = telling.to_json(thing) if any(one.place is None for one in picked) else {}
    row = telling.row(thing) if any(one.place is not None for one in picked) else ()
    return [
        flat_text(_value(item, one.field), absent) if one.place is None else _plain_cell(row[one.place], absent)
        for one in picked
    ]


def _plain_cell(cell: str, absent: str) -> str:
    return absent if cell == "–" else cell


def _value(item: Mapping[str, Any], field: str) -> Any:
    found: Any = item
    for name in field.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def flat_text(value: object, absent: str = "") -> str:
    """A value of JSON as one cell: lists joined by semicolons.

    >>> flat_text(["a", 1]), flat_text({"night": "1"}), flat_text(True), flat_text(None)
    ('a;1', 'night=1', 'true', '')
    """
    if value is None:
        return absent
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return write_time(value)
    if isinstance(value, Mapping):
        return ";".join(f"{key}={flat_text(inner)}" for key, inner in value.items())
    return ";".join(map(flat_text, value)) if isinstance(value, list | tuple) else str(value)


def _picked_for_table(listing: Listing, name: str) -> _Picked:
    """The column of the table that the name means, or else the field of the JSON.  Raises UserError."""
    from cli.envelopes import flat_fields

    places = {_spelled(column.title): place for place, column in enumerate(listing.columns)}
    if _spelled(name) in places:
        return _Picked(place=places[_spelled(name)], field=_spelled(name))
    return _Picked(field=_known(name, flat_fields(listing.schema), places))


def _picked_for_csv(listing: Listing, fields: Sequence[str], name: str) -> _Picked:
    """The field of the JSON that the name means, or else the column of the table.  Raises UserError."""
    places = {_spelled(column.title): place for place, column in enumerate(listing.columns)}
    if name.lower() in fields or _spelled(name) not in places:
        return _Picked(field=_known(name, fields, places))
    return _Picked(place=places[_spelled(name)], field=_spelled(name))


def _known(name: str, fields: Sequence[str], places: Mapping[str, int]) -> str:
    if name.lower() not in fields:
        known = [*places, *(field for field in fields if field not in places)]
        near = suggestion(name.lower(), known)
        every = "" if near.startswith("choose") else f" choose from: {', '.join(known)}"
        raise UserError(f"there is no column {name!r}", hint=near + every)
    return name.lower()


def _spelled(title: str) -> str:
    return title.lower().replace(" ", "_").replace("-", "_")

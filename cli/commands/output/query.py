"""`pixmill output query`: images by what the tables say of them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import click

from cli.context import Workspace, pass_workspace
from cli.listing import LINES, csv_writer
from cli.output import Column, print_item, print_table, say
from cli.params import COUNT, JOB_ID, examples
from client.outputs import find_output
from pixmill.errors import UserError
from pixmill.names import suggestion

TABLE_ROWS = 50  # of a table, unless --limit says otherwise
HASH_DIGITS = 12  # of a hash that a table shows
PLACES = ("offset",)  # columns that a table leaves out, unless they are named

Rows = Iterator[dict[str, Any]]


@click.command(
    "query",
    epilog=examples(
        "pixmill output query 13 --where 'label == cat'",
        "pixmill output query 13 --where 'class in cat,dog' --where 'size > 900' --count",
        "pixmill output query 13 --columns index,sha256 -o csv",
    ),
)
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="'COLUMN OP VALUE'",
    help="OP: == != < <= > >=, or in with values parted by commas; null is a value.  Repeatable: all must hold.",
)
@click.option("--columns", metavar="A,B", help="What to show of each image.  [default: all columns]")
@click.option("--limit", type=COUNT, metavar="ROWS", help="Show so many at most.  [default: of a table 50]")
@click.option("--count", "only_count", is_flag=True, help="Print how many there are, and nothing else.")
@click.option(
    "-o",
    "output_format",
    type=click.Choice(["table", "json", *LINES]),
    default="table",
    show_default=True,
    help="How to print it.",
)
@pass_workspace
def command(
    workspace: Workspace,
    /,
    job_id: int,
    conditions: tuple[str, ...],
    columns: str | None,
    limit: int | None,
    only_count: bool,
    output_format: str,
) -> None:
    """List the images of a data set by what stands in its tables: index, seed, label, class, size, sha256 and others.

    Quote a condition, or the shell takes > and < for itself.
    """
    rows = _found(workspace, job_id, conditions)
    if only_count:
        _print_count(sum(1 for _row in rows), output_format)
        return
    names = None if columns is None or output_format == "ids" else [name.strip() for name in columns.split(",")]
    chosen = map(_chooser(names), rows)
    printers = {"json": _print_json, "ndjson": _print_lines, "csv": _print_csv, "ids": _print_ids, "table": _print_rows}
    printers[output_format](chosen, limit, names)


def _print_count(images: int, output_format: str) -> None:
    if output_format == "json":
        print_item("output_query", {"images": images})
    else:
        click.echo(str(images))


def _found(workspace: Workspace, job_id: int, texts: Sequence[str]) -> Rows:
    rows = find_output(workspace, job_id).rows(*texts)
    first = list(islice(rows, 1))  # asked for before anything is printed: it may be refused
    return chain(first, rows)


def _chooser(names: Sequence[str] | None) -> Any:
    def choose(row: dict[str, Any]) -> dict[str, Any]:
        if names is None:
            return row
        unknown = next((name for name in names if name not in row), None)
        if unknown is not None:
            raise UserError(f"there is no column {unknown!r}", hint=suggestion(unknown, row))
        return {name: row[name] for name in names}

    return choose


def _print_json(rows: Iterable[dict[str, Any]], limit: int | None, _names: Sequence[str] | None) -> None:
    """The envelope of a list, written row by row: there may be millions."""
    click.echo('{"schema": "pixmill.output_query/1", "items": [', nl=False)
    for number, row in enumerate(islice(rows, limit)):
        click.echo(("," if number else "") + "\n" + json.dumps(row), nl=False)
    click.echo('\n], "next": null}')


def _print_lines(rows: Iterable[dict[str, Any]], limit: int | None, _names: Sequence[str] | None) -> None:
    for row in islice(rows, limit):
        click.echo(json.dumps(row))


def _print_ids(rows: Iterable[dict[str, Any]], limit: int | None, _names: Sequence[str] | None) -> None:
    for row in islice(rows, limit):
        click.echo(str(row["index"]))


def _print_csv(rows: Iterable[dict[str, Any]], limit: int | None, names: Sequence[str] | None) -> None:
    writer = csv_writer()
    head = names
    if head is not None:
        writer.writerow(head)
    for row in islice(rows, limit):
        if head is None:
            head = list(row)
            writer.writerow(head)
        writer.writerow(row.values())


def _print_rows(rows: Rows, limit: int | None, names: Sequence[str] | None) -> None:
    shown = list(islice(rows, limit or TABLE_ROWS))
    left_out = next(rows, None) is not None
    titles = [name for name in (shown[0] if shown else ()) if names is not None or name not in PLACES]
    columns = [Column(title=name.upper(), align="left" if name in ("class", "sha256") else "right") for name in titles]
    print_table(columns, [[_cell(name, row[name]) for name in titles] for row in shown], empty="no image is like that")
    if left_out:
        say("… and more: --limit, --count, or -o csv")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    return f"{value[:HASH_DIGITS]}…" if name == "sha256" else str(value)

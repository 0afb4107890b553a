"""`pixmill schema`: what the JSON of the other commands looks like."""

import json

import click

from cli.envelopes import read_schema, schema_names
from cli.listing import Listing, Shape, Telling, listing_options, print_listing
from cli.output import Column
from cli.params import SCHEMA, examples

COLUMNS = [Column(title="NAME"), Column(title="TITLE", shrinks=True), Column(title="ID", wide=True)]
LISTING = Listing(schema="schema_list", columns=COLUMNS)


@click.command("schema", epilog=examples("pixmill schema", "pixmill schema job_list > job_list.schema.json"))
@click.argument("name", required=False, type=SCHEMA)
@listing_options(LISTING)
def command(name: str | None, shape: Shape) -> None:
    """Print the JSON Schema (draft 2020-12) of an envelope, such as job_list of `ps -o json`; without NAME list all.

    Fields are only ever added to an envelope: whoever reads one must pass over those that he does not know.
    """
    if name is not None:
        click.echo(json.dumps(read_schema(name), indent=2, ensure_ascii=False))
        return
    telling = Telling[dict[str, str]](to_json=dict, row=lambda item: list(item.values()), ident=lambda one: one["name"])
    print_listing(LISTING, shape, [_item(known) for known in schema_names()], telling, empty="no schemas")


def _item(name: str) -> dict[str, str]:
    schema = read_schema(name)
    return {"name": name, "title": schema["title"], "id": schema["$id"]}

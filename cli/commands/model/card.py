"""`pixmill model card`: one version as a document for others."""

from pathlib import Path

import click

from cli.context import Workspace, pass_workspace
from cli.output import print_item, say
from cli.params import MODEL, examples, output_option
from pixmill.homes import expanded


@click.command(
    "card", epilog=examples("pixmill model card digits@champion", "pixmill model card digits@3 --out digits-3.md")
)
@click.argument("name", metavar="MODEL", type=MODEL)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it there.")
@output_option("markdown", "json")
@pass_workspace
def command(workspace: Workspace, name: str, out: Path | None, output_format: str) -> None:
    """Print the card of a version: what it is, what it was made from, what was measured of it, and its history."""
    from cli.modelcard import card_json, card_markdown, read_card_of
    from storage.atomic import write_atomic

    with workspace.database.read() as session:
        card = read_card_of(session, name)
        if output_format == "json" and out is None:
            print_item("model_card", card_json(card))
            return
        if output_format == "json":
            raise click.UsageError("--out writes Markdown; let the shell write JSON: -o json > FILE")
        text = card_markdown(card)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_atomic(expanded(out).absolute(), text.encode())
        say(f"card: {out}")

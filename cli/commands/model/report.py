"""`pixmill model report`: one HTML file about a line of models."""

from pathlib import Path

import click

from cli.context import Workspace, pass_workspace
from cli.params import MODEL_NAME, examples


@click.command(
    "report", epilog=examples("pixmill model report digits", "pixmill model report digits --out /tmp/digits.html")
)
@click.argument("name", type=MODEL_NAME)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="[default: pixmill-model-NAME.html]"
)
@pass_workspace
def command(workspace: Workspace, name: str, out: Path | None) -> None:
    """Write the report of a model, all its versions: one HTML file that holds all its pictures and needs no network.

    Prints the file's path.
    """
    from client.modelreport.building import write_model_report

    target = out or Path(f"pixmill-model-{name}.html")
    click.echo(str(write_model_report(workspace.database, workspace.settings, name, target)))

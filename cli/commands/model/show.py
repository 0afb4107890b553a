"""`pixmill model show`: one version in full."""

import click

from cli.context import Workspace, pass_workspace
from cli.output import print_item
from cli.params import MODEL, examples, output_option


@click.command("show", epilog=examples("pixmill model show digits", "pixmill model show digits@champion -o json"))
@click.argument("name", metavar="MODEL", type=MODEL)
@output_option("text", "json")
@pass_workspace
def command(workspace: Workspace, name: str, output_format: str) -> None:
    """Show one model, NAME, NAME@VERSION, NAME@ALIAS or job:ID, with all that was measured of it, the newest first."""
    from cli.modeldetails import print_model
    from client.models import measurements_json, read_model, version_json

    with workspace.database.read() as session:
        details = read_model(session, name)
        if output_format == "json":
            item = version_json(details.version, details.aliases)
            print_item("model", {**item, "measurements": measurements_json(details)})
        else:
            print_model(details, workspace.settings.storage_root)

"""`pixmill device`: what computes."""

import click

from cli.context import Workspace, pass_workspace
from cli.fleet import device_rows, fleet_of
from cli.output import Column, print_list, print_table
from cli.params import examples, output_option

COLUMNS = [
    Column(title="DEVICE"),
    Column(title="HOST", shrinks=True, dropped=1),
    Column(title="MODEL", shrinks=True),
    Column(title="MEMORY", align="right"),
    Column(title="STATE"),
    Column(title="JOB", align="right"),
    Column(title="SEEN", align="right"),
]


@click.group("device", epilog=examples("pixmill device ls"))
def command() -> None:
    """CPUs and GPUs that work, or once worked, for this database."""


@command.command("ls", epilog=examples("pixmill device ls", "pixmill device ls -o json"))
@output_option("table", "json")
@pass_workspace
def ls(workspace: Workspace, output_format: str) -> None:
    """List devices: free, busy, silent (its worker stopped answering) or down (its worker has ended)."""
    fleet = fleet_of(workspace)
    if output_format == "json":
        print_list("device_list", [member.device_json() for member in fleet])
        return
    print_table(COLUMNS, device_rows(fleet), empty="no worker has ever run here; start some: pixmill up")

"""`pixmill job report`: one HTML file about a job."""

from pathlib import Path

import click

from cli.context import Workspace, pass_workspace
from cli.params import examples, job_argument


@click.command("report", epilog=examples("pixmill job report 12", "pixmill job report 12 --out /tmp/digits.html"))
@job_argument
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="[default: pixmill-job-ID.html]"
)
@pass_workspace
def command(workspace: Workspace, job_id: int, out: Path | None) -> None:
    """Write a job's report: one HTML file that holds all its pictures and needs no network.

    Prints the file's path.
    """
    from client.jobreport.building import write_report

    path = write_report(workspace.database, workspace.settings, job_id, out or Path(f"pixmill-job-{job_id}.html"))
    click.echo(str(path))

"""`pixmill submit ping`: see that a job reaches a worker and comes back."""

from typing import Any

import click

from cli.commands.job.submit.flags import submit
from cli.commands.job.submit.options import common_options
from cli.context import Workspace, pass_workspace
from cli.params import examples


@click.command("ping", epilog=examples("pixmill submit ping --wait", "pixmill submit ping --device cuda --wait"))
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Send a job that does no work through the whole line, to see that it reaches a worker and comes back."""
    submit(workspace, "ping", flags)

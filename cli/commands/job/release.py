"""`pixmill job release`: let held jobs go on."""

from typing import Any

import click

from cli.acting import Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace
from cli.params import examples
from client.acts import release


@click.command("release", epilog=examples("pixmill job release 12", "pixmill job release -l project=digits -y"))
@act_options()
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Let held jobs go on.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user, --array (of the held ones).
    """
    request = Request.from_flags(flags)
    act_on_jobs(workspace, release(request.actor), request)

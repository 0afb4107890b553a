"""`pixmill job top`: let jobs go first."""

from typing import Any

import click

from cli.acting import Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace
from cli.params import examples
from client.acts import top


@click.command("top", epilog=examples("pixmill job top 12", "pixmill job top 15 12"))
@act_options()
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Put jobs ahead of all that waits in their queue; of several the first one named goes first.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user, --array (of the waiting ones). What runs is
    not disturbed, and other queues keep their share.
    """
    request = Request.from_flags(flags)
    act_on_jobs(workspace, top(request.actor), request)

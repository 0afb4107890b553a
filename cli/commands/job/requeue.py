"""`pixmill job requeue`: take running jobs off their devices."""

from typing import Any

import click

from cli.acting import Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace
from cli.params import examples
from client.acts import requeue


@click.command(
    "requeue",
    epilog=examples("pixmill job requeue 12", "pixmill job requeue --user bob --hold --reason 'too large' -y"),
)
@act_options()
@click.option("--hold", is_flag=True, help="Hold them then, and what waits of them at once.")
@pass_workspace
def command(workspace: Workspace, /, hold: bool, **flags: Any) -> None:
    """Take running jobs off their devices at the next checkpoint, and put them back to wait; nothing is lost by it.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user, --array (of the running ones).
    """
    request = Request.from_flags(flags)
    act_on_jobs(workspace, requeue(request.actor, hold=hold), request)

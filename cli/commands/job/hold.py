"""`pixmill job hold`: keep jobs from starting."""

from typing import Any

import click

from cli.acting import Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace
from cli.params import examples
from client.acts import hold


@click.command(
    "hold",
    epilog=examples("pixmill job hold 12 --reason 'data set is being mended'", "pixmill job hold --queue bulk -y"),
)
@act_options()
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Hold jobs: nothing more of them starts until `pixmill job release`; what runs goes on.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user, --array (of the waiting ones). To stop what
    runs as well: pixmill job requeue --hold.
    """
    request = Request.from_flags(flags)
    act_on_jobs(workspace, hold(request.actor), request)

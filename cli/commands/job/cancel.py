"""`pixmill cancel`: stop jobs."""

from typing import Any

import click

from cli.acting import Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace
from cli.params import examples
from client.acts import cancel


@click.command(
    "cancel",
    epilog=examples(
        "pixmill cancel 12",
        "pixmill cancel 12 13 --reason 'wrong data set' -y",
        "pixmill cancel --user ann --state pending --dry-run",
    ),
)
@act_options()
@click.option("--force", is_flag=True, help="Do not wait for the workers: their leases end now.")
@pass_workspace
def command(workspace: Workspace, /, force: bool, **flags: Any) -> None:
    """Cancel jobs: what waits never starts, what runs stops within seconds and keeps its checkpoints.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user, --array (of the unfinished ones). Asks before
    it touches several. A job that has ended stays as it is (rc 4). --force is for workers that do not answer: they
    lose their lease at once, and find out later.
    """
    request = Request.from_flags(flags)
    act_on_jobs(workspace, cancel(request.actor, force=force), request)

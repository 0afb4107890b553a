"""`pixmill job retry`: run again what failed or was cancelled."""

from typing import Any

import click

from cli.acting import Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace
from cli.params import SPAN, examples
from client.acts import STARTS, Start, retry


@click.command(
    "retry",
    epilog=examples("pixmill job retry 12", "pixmill job retry 12 --from best", "pixmill job retry --state failed"),
)
@act_options()
@click.option(
    "--from",
    "start",
    type=click.Choice(list(STARTS)),
    default="last",
    show_default=True,
    help="Which checkpoint a training goes on from; none: from the start.",
)
@click.option("--time-limit", type=SPAN, metavar="SPAN", help="Longest time of one attempt from now on.")
@pass_workspace
def command(workspace: Workspace, /, start: Start, time_limit: float | None, **flags: Any) -> None:
    """Run failed or cancelled jobs again, under the same ID; what they have published is kept.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user, --array (of the failed and cancelled ones).
    Retries count anew. A job whose parent has not succeeded waits in vain: retry that one first (rc 4).
    """
    request = Request.from_flags(flags)
    act_on_jobs(workspace, retry(request.actor, start=start, time_limit_seconds=time_limit), request)

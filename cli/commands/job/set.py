"""`pixmill job set`: change how jobs are queued."""

from typing import Any

import click

from cli.acting import Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace
from cli.params import PRIORITY, QUEUE_NAME, SPAN, examples
from client.acts import change


@click.command(
    "set",
    epilog=examples(
        "pixmill job set 12 --priority 10",
        "pixmill job set 12 --time-limit 4h",
        "pixmill job set --from-queue bulk --queue night",
    ),
)
@act_options(queue="--from-queue")
@click.option("--priority", type=PRIORITY, help="From -1000 to 1000; a point is worth a minute of waiting.")
@click.option("--queue", type=QUEUE_NAME, metavar="NAME", help="The queue to go to; it is made if there is none.")
@click.option("--time-limit", type=SPAN, metavar="SPAN", help="Longest time of one attempt, from the next one on.")
@pass_workspace
def command(
    workspace: Workspace, /, priority: int | None, queue: str | None, time_limit: float | None, **flags: Any
) -> None:
    """Change priority, queue or time limit of unfinished jobs.

    Jobs are named by ID, or chosen: --state, --kind, -l, --from-queue, --user (of the unfinished ones).
    """
    if priority is None and queue is None and time_limit is None:
        raise click.UsageError("say what to change: --priority, --queue or --time-limit")
    request = Request.from_flags(flags)
    act = change(request.actor, priority=priority, queue=queue, time_limit_seconds=time_limit)
    act_on_jobs(workspace, act, request)

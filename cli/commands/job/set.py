"""`pixmill job set`: change how jobs are queued."""

from typing import Any

import click

from cli.acting import Request, act_on_jobs, act_options
from cli.arraylimits import limit_arrays
from cli.context import Workspace, pass_workspace
from cli.params import LIMIT, NO_LIMIT, PRIORITY, QUEUE_NAME, SPAN, examples
from client.acts import change


@click.command(
    "set",
    epilog=examples(
        "pixmill job set 12 --priority 10",
        "pixmill job set 12 --time-limit 4h",
        "pixmill job set --from-queue bulk --queue night",
        "pixmill job set 12 --array-limit 8",
    ),
)
@act_options(queue="--from-queue")
@click.option("--priority", type=PRIORITY, help="From -1000 to 1000; a point is worth a minute of waiting.")
@click.option("--queue", type=QUEUE_NAME, metavar="NAME", help="The queue to go to; it is made if there is none.")
@click.option("--time-limit", type=SPAN, metavar="SPAN", help="Longest time of one attempt, from the next one on.")
@click.option("--array-limit", type=LIMIT, metavar="N", help="So many jobs of the array at once; none lifts it.")
@pass_workspace
def command(
    workspace: Workspace,
    /,
    priority: int | None,
    queue: str | None,
    time_limit: float | None,
    array_limit: int | str | None,
    **flags: Any,
) -> None:
    """Change priority, queue or time limit of unfinished jobs, or how many jobs of an array run at once.

    Jobs are named by ID, or chosen: --state, --kind, -l, --from-queue, --user, --array (of the unfinished ones).
    """
    request = Request.from_flags(flags)
    if array_limit is not None:
        if (priority, queue, time_limit) != (None, None, None):
            raise click.UsageError("--array-limit is of arrays, what else there is of jobs: change one after the other")
        request.selection.require_one("change")
        limit_arrays(workspace, request, None if array_limit == NO_LIMIT else int(array_limit))
        return
    if priority is None and queue is None and time_limit is None:
        raise click.UsageError("say what to change: --priority, --queue, --time-limit or --array-limit")
    act = change(request.actor, priority=priority, queue=queue, time_limit_seconds=time_limit)
    act_on_jobs(workspace, act, request)

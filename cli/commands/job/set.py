"""`pixmill job set`: change how jobs are queued."""

from typing import TYPE_CHECKING, Any

import click

from cli.acting import Act, Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace, user_name
from cli.params import PRIORITY, QUEUE_NAME, SPAN, examples
from client.wording import duration
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


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
    request, actor = Request.from_flags(flags), user_name()
    told = [f"priority {priority}"] if priority is not None else []
    told += [f"queue {queue}"] if queue is not None else []
    told += [f"time limit {duration(time_limit)}"] if time_limit is not None else []

    def change(session: "Session", job_id: int) -> str:
        from db.control import set_job

        set_job(
            session,
            job_id,
            actor=actor,
            why=request.reason,
            priority=priority,
            queue=queue,
            time_limit_seconds=time_limit,
        )
        return f"has {', '.join(told)} now"

    states = (State.PENDING, State.QUEUED, State.RUNNING, State.HELD)
    act_on_jobs(workspace, Act(verb="change", states=states, do=change, wakes=True), request)

"""`pixmill job retry`: run again what failed or was cancelled."""

from typing import TYPE_CHECKING, Any

import click

from cli.acting import Act, Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace, user_name
from cli.params import SPAN, examples
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

CHOICES = {"last": "from its last checkpoint", "best": "from its best checkpoint", "none": "from the start"}


@click.command(
    "retry",
    epilog=examples("pixmill job retry 12", "pixmill job retry 12 --from best", "pixmill job retry --state failed"),
)
@act_options()
@click.option(
    "--from",
    "start",
    type=click.Choice(list(CHOICES)),
    default="last",
    show_default=True,
    help="Which checkpoint a training goes on from; none: from the start.",
)
@click.option("--time-limit", type=SPAN, metavar="SPAN", help="Longest time of one attempt from now on.")
@pass_workspace
def command(workspace: Workspace, /, start: str, time_limit: float | None, **flags: Any) -> None:
    """Run failed or cancelled jobs again, under the same ID; what they have published is kept.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user (of the failed and cancelled ones). Retries
    count anew. A job whose parent has not succeeded waits in vain: retry that one first (rc 4).
    """
    request, actor = Request.from_flags(flags), user_name()

    def retry(session: "Session", job_id: int) -> str:
        from db.control import CheckpointChoice, retry_job, set_job

        retry_job(session, job_id, actor=actor, why=request.reason, start=CheckpointChoice(start))
        if time_limit is not None:  # in the same transaction, so that no attempt begins under the old one
            set_job(session, job_id, actor=actor, why=request.reason, time_limit_seconds=time_limit)
        return f"is tried again{', ' + CHOICES[start] if start != 'last' else ''}"

    act = Act(verb="retry", states=(State.FAILED, State.CANCELLED), do=retry, wakes=True)
    act_on_jobs(workspace, act, request)

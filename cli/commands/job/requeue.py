"""`pixmill job requeue`: take running jobs off their devices."""

from typing import TYPE_CHECKING, Any

import click

from cli.acting import Act, Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace, user_name
from cli.params import examples
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@click.command(
    "requeue",
    epilog=examples("pixmill job requeue 12", "pixmill job requeue --user bob --hold --reason 'too large' -y"),
)
@act_options()
@click.option("--hold", is_flag=True, help="Hold them then, and what waits of them at once.")
@pass_workspace
def command(workspace: Workspace, /, hold: bool, **flags: Any) -> None:
    """Take running jobs off their devices at the next checkpoint, and put them back to wait; nothing is lost by it.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user (of the running ones).
    """
    request, actor = Request.from_flags(flags), user_name()

    def requeue(session: "Session", job_id: int) -> str:
        from db.control import requeue_job

        requeue_job(session, job_id, actor=actor, why=request.reason, hold=hold)
        return f"stops at its next checkpoint, and {'is held' if hold else 'waits for a device again'}"

    act_on_jobs(workspace, Act(verb="requeue", states=(State.RUNNING,), do=requeue, wakes=True), request)

"""`pixmill cancel`: stop jobs."""

from typing import TYPE_CHECKING, Any

import click

from cli.acting import Act, Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace, user_name
from cli.params import examples
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


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

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user (of the unfinished ones). Asks before it
    touches several. A job that has ended stays as it is (rc 4). --force is for workers that do not answer: they lose
    their lease at once, and find out later.
    """
    request, actor = Request.from_flags(flags), user_name()

    def cancel(session: "Session", job_id: int) -> str:
        from db.control import cancel_job

        state = cancel_job(session, job_id, actor=actor, why=request.reason, force=force)
        return "is cancelled" if state.is_terminal else f"is being cancelled; pixmill wait {job_id}"

    states = (State.PENDING, State.QUEUED, State.RUNNING, State.HELD)
    act_on_jobs(workspace, Act(verb="cancel", states=states, do=cancel, wakes=force), request)

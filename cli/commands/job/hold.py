"""`pixmill job hold`: keep jobs from starting."""

from typing import TYPE_CHECKING, Any

import click

from cli.acting import Act, Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace, user_name
from cli.params import examples
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@click.command(
    "hold",
    epilog=examples("pixmill job hold 12 --reason 'data set is being mended'", "pixmill job hold --queue bulk -y"),
)
@act_options()
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Hold jobs: nothing more of them starts until `pixmill job release`; what runs goes on.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user (of the waiting ones). To stop what runs as
    well: pixmill job requeue --hold.
    """
    request, actor = Request.from_flags(flags), user_name()

    def hold(session: "Session", job_id: int) -> str:
        from db.control import hold_job

        state = hold_job(session, job_id, actor=actor, why=request.reason)
        return "is held" if state is State.HELD else "goes on with what runs; the rest of it is held"

    act_on_jobs(workspace, Act(verb="hold", states=(State.PENDING, State.QUEUED), do=hold, wakes=False), request)

"""`pixmill job top`: let jobs go first."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cli.acting import Act, Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace, user_name
from cli.params import examples
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@click.command("top", epilog=examples("pixmill job top 12", "pixmill job top 15 12"))
@act_options()
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Put jobs ahead of all that waits in their queue; of several the first one named goes first.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user (of the waiting ones). What runs is not
    disturbed, and other queues keep their share.
    """
    request, actor = Request.from_flags(flags), user_name()
    selection = request.selection
    # Each one goes before all others, so the last one to be put there stands first.
    request = replace(request, selection=replace(selection, ids=selection.ids[::-1]))

    def top(session: "Session", job_id: int) -> str:
        from db.control import top_job

        top_job(session, job_id, actor=actor, why=request.reason)
        return "goes before all that waits in its queue"

    states = (State.PENDING, State.QUEUED, State.HELD)
    act_on_jobs(workspace, Act(verb="put ahead", states=states, do=top, wakes=True), request)

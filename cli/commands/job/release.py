"""`pixmill job release`: let held jobs go on."""

from typing import TYPE_CHECKING, Any

import click

from cli.acting import Act, Request, act_on_jobs, act_options
from cli.context import Workspace, pass_workspace, user_name
from cli.params import examples
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@click.command("release", epilog=examples("pixmill job release 12", "pixmill job release -l project=digits -y"))
@act_options()
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Let held jobs go on.

    Jobs are named by ID, or chosen: --state, --kind, -l, --queue, --user (of the held ones).
    """
    request, actor = Request.from_flags(flags), user_name()

    def release(session: "Session", job_id: int) -> str:
        from db.control import release_job

        release_job(session, job_id, actor=actor, why=request.reason)
        return "is released"

    act_on_jobs(workspace, Act(verb="release", states=(State.HELD,), do=release, wakes=True), request)

"""`pixmill job release`: let held jobs go on."""

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.output import say
from cli.params import examples, jobs_argument
from cli.poking import poke_scheduler


@click.command("release", epilog=examples("pixmill job release 12"))
@jobs_argument
@pass_workspace
def command(workspace: Workspace, job_ids: tuple[int, ...]) -> None:
    """Let jobs go on that were submitted with --hold.

    All or none: a job that is not held (rc 4) leaves the others as they are.
    """
    from sqlalchemy.orm import Session

    from db.jobs import release_job

    actor = user_name()
    wanted = list(dict.fromkeys(job_ids))

    def release_all(session: Session) -> None:
        for job_id in wanted:
            release_job(session, job_id, actor=actor)

    workspace.database.transact(release_all)
    for job_id in wanted:
        say(f"job {job_id} is released")
    poke_scheduler(workspace)

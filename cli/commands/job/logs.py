"""`pixmill logs`: what a job wrote."""

import click

from cli.context import Workspace, pass_workspace
from cli.params import examples, job_argument


@click.command(
    "logs", epilog=examples("pixmill logs 12", "pixmill logs -f 12", "pixmill logs 12 --attempt 2 --tail 50")
)
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends; the exit code tells how it ended.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Only this attempt.  [default: all]")
@click.option("--tail", type=click.IntRange(min=0), metavar="LINES", help="Only the last lines of each attempt.")
@pass_workspace
def command(workspace: Workspace, job_id: int, follow: bool, attempt: int | None, tail: int | None) -> None:
    """Show what a job wrote, attempt by attempt.

    With -f, Ctrl-C leaves the job alone; the exit code is that of `pixmill wait`.
    """
    from cli.logfiles import print_logs
    from cli.output import say
    from client.logs import log_sources

    if follow:
        _follow(workspace, job_id, attempt, tail)
        return
    with workspace.database.read() as session:
        sources = log_sources(session, workspace.settings.storage_root, job_id, attempt)
    if not sources:
        say(f"job {job_id} has not begun; pixmill logs -f {job_id} waits for it")
    print_logs(workspace, sources, tail)


def _follow(workspace: Workspace, job_id: int, attempt: int | None, tail: int | None) -> None:
    from cli.logfiles import follow
    from cli.waiting import leave
    from client.waiting import raise_outcome

    try:
        state = follow(workspace, job_id, attempt, tail)
    except KeyboardInterrupt:
        leave([job_id])
        return
    raise_outcome({job_id: state})

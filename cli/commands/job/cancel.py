"""`pixmill cancel`: stop jobs."""

import sys
from collections.abc import Sequence

import click

from cli.context import Workspace, user_name
from cli.errors import report
from cli.formatting import plural
from cli.output import is_terminal, say
from cli.params import examples, jobs_argument
from pixmill.errors import PixmillError
from pixmill.states import State


@click.command("cancel", epilog=examples("pixmill cancel 12", "pixmill cancel 12 13 --reason 'wrong data set' -y"))
@jobs_argument
@click.option("--reason", help="Why; `pixmill job show` tells it.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def command(ctx: click.Context, job_ids: tuple[int, ...], reason: str | None, yes: bool) -> None:
    """Cancel jobs: what waits never starts, what runs stops within seconds and keeps its checkpoints.

    Asks before it cancels several jobs of which one runs. A job that has ended is left as it is (rc 4).
    """
    workspace = ctx.ensure_object(Workspace)
    wanted = list(dict.fromkeys(job_ids))
    if not yes:
        _confirm(workspace, wanted)
    errors = [error for job_id in wanted if (error := _cancel(workspace, job_id, reason)) is not None]
    if len(wanted) == 1 and errors:
        raise errors[0]
    for error in errors:
        report(error)
    if errors:
        ctx.exit(1)


def _confirm(workspace: Workspace, job_ids: Sequence[int]) -> None:
    from db.views import JobFilter, list_jobs

    if len(job_ids) == 1:
        return
    with workspace.database.read() as session:
        lines = list_jobs(session, JobFilter(ids=tuple(job_ids)), None)
    running = sum(line.job.state is State.RUNNING for line in lines)
    if not running:
        return
    if not is_terminal(sys.stdin):
        raise click.UsageError(f"{running} of {plural(len(job_ids), 'job')} run and nobody can be asked: add -y")
    click.confirm(f"cancel {plural(len(job_ids), 'job')} ({running} running)?", default=False, abort=True, err=True)


def _cancel(workspace: Workspace, job_id: int, reason: str | None) -> PixmillError | None:
    from db.jobs import cancel_job

    actor = user_name()
    try:
        state = workspace.database.transact(lambda session: cancel_job(session, job_id, actor=actor, why=reason))
    except PixmillError as error:
        error.hint = error.hint or f"pixmill job show {job_id}"
        return error
    say(
        f"job {job_id} is cancelled" if state.is_terminal else f"job {job_id} is being cancelled; pixmill wait {job_id}"
    )
    return None

"""`pixmill wait`: wait until jobs have ended."""

import click

from cli.context import Workspace, pass_workspace
from cli.params import SPAN, examples, jobs_argument


@click.command("wait", epilog=examples("pixmill wait 12 13", "pixmill wait 12 --timeout 10m && echo done"))
@jobs_argument
@click.option("--timeout", type=SPAN, metavar="TIME", help="Give up after this: 90, 10m, 2h.")
@pass_workspace
def command(workspace: Workspace, job_ids: tuple[int, ...], timeout: float | None) -> None:
    """Wait until jobs have ended, however they ended.

    Exit code: 0 all succeeded, 100 one failed, 103 one was cancelled, 101 not finished in time. Ctrl-C leaves the
    jobs alone.
    """
    from cli.waiting import wait_and_exit

    wait_and_exit(workspace, list(dict.fromkeys(job_ids)), timeout_seconds=timeout)

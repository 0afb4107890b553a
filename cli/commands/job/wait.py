"""`pixmill wait`: wait until jobs have ended."""

import click

from cli.context import Workspace, pass_workspace
from cli.params import ARRAY_ID, JOB_ID, SPAN, examples


@click.command(
    "wait",
    epilog=examples("pixmill wait 12 13", "pixmill wait 12 --timeout 10m && echo done", "pixmill wait --array 12"),
)
@click.argument("job_ids", metavar="[ID…]", type=JOB_ID, nargs=-1)
@click.option("--array", "arrays", multiple=True, type=ARRAY_ID, metavar="ID", help="All jobs of an array; repeatable.")
@click.option("--timeout", type=SPAN, metavar="TIME", help="Give up after this: 90, 10m, 2h.")
@pass_workspace
def command(workspace: Workspace, job_ids: tuple[int, ...], arrays: tuple[int, ...], timeout: float | None) -> None:
    """Wait until jobs have ended, however they ended.

    Exit code: 0 all succeeded, 100 one failed, 103 one was cancelled, 101 not finished in time. Ctrl-C leaves the
    jobs alone.
    """
    from cli.waiting import wait_and_exit

    if not job_ids and not arrays:
        raise click.UsageError("name the jobs to wait for: ID…, or --array ID")
    wanted = [*job_ids, *_of_arrays(workspace, arrays)]
    wait_and_exit(workspace, list(dict.fromkeys(wanted)), timeout_seconds=timeout)


def _of_arrays(workspace: Workspace, arrays: tuple[int, ...]) -> list[int]:
    from db.arrays import array_states

    if not arrays:
        return []
    with workspace.database.read() as session:
        return [job_id for array_id in arrays for job_id in array_states(session, array_id)]

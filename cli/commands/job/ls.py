"""`pixmill ps`: the jobs, and why they wait or failed."""

from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace
from cli.jobs import COLUMNS, WIDE_COLUMNS, job_row, wide_job_row
from cli.jobtree import job_tree
from cli.output import print_ids, print_list, print_table, say
from cli.params import JOB_ID, examples, filter_options, output_option
from cli.selection import Selection
from client.jobs import job_json, read_jobs
from client.situation import read_situation

if TYPE_CHECKING:
    from db.views import JobFilter

RECENT = 10  # finished jobs that are listed beside the unfinished ones
LIMIT = 200


@click.command(
    "ls",
    epilog=examples(
        "pixmill ps", "pixmill ps --all --state failed -o ids", "pixmill ps --queue bulk --user ann -o json"
    ),
)
@click.option("-a", "--all", "everything", is_flag=True, help="Finished jobs too, without limit.")
@filter_options()
@click.option("--limit", type=click.IntRange(min=1), help=f"At most so many, the newest.  [default: {LIMIT}]")
@click.option("--before", type=JOB_ID, metavar="ID", help="Only jobs older than this one: the next page.")
@output_option("table", "wide", "json", "ids")
@pass_workspace
def command(workspace: Workspace, /, output_format: str, everything: bool, limit: int | None, **filters: Any) -> None:
    """List jobs, the oldest first: the unfinished ones and the last 10 that have ended.

    REASON tells why a job waits (the first that holds: Held, BeginTime, RetryBackoff, DependencyNeverSatisfied,
    Dependency, QueuePaused, QueueLimit, NoWorker, Drained, NoScheduler, Resources, Priority, BrokerDown), or why it
    failed. `pixmill job why ID` tells all of them. Jobs of a pipeline stand below their run.
    """
    before = filters.pop("before")
    chosen = Selection.from_flags(filters).job_filter(before=before)
    is_plain = not (everything or chosen.states or chosen.before or limit)
    most = limit or (None if everything else LIMIT)
    if output_format == "ids" and most is None:
        print_ids(_all_ids(workspace, chosen))
        return
    with workspace.database.read() as session:
        lines, more = read_jobs(session, chosen, most, RECENT if is_plain else None)
        situation = read_situation(session, workspace.settings.scheduler.lease_seconds, lines)
    match output_format:
        case "ids":
            print_ids([line.job.id for line in lines])
        case "json":
            following = {"before": lines[0].job.id} if more else None
            print_list("job_list", [job_json(line, situation) for line in lines], following)
        case "wide":
            print_table(WIDE_COLUMNS, job_tree(lines, situation, WIDE_COLUMNS, wide_job_row), empty=_empty(everything))
        case _:
            print_table(COLUMNS, job_tree(lines, situation, COLUMNS, job_row), empty=_empty(everything))
    if more and output_format != "json":
        say(f"older jobs are not listed: pixmill ps --before {lines[0].job.id}")


def _all_ids(workspace: Workspace, chosen: "JobFilter") -> list[int]:
    """Ids alone are read many times faster than jobs."""
    from db.views import chosen_jobs

    with workspace.database.read() as session:
        return [head.id for head in chosen_jobs(session, chosen)]


def _empty(everything: bool) -> str:
    return "no jobs" if everything else "no jobs to list; submit one: pixmill submit --help"

"""`pixmill ps`: the jobs, and why they wait or failed."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace
from cli.errors import report
from cli.jobs import COLUMNS, LISTING, job_row
from cli.jobtree import job_tree
from cli.listing import Shape, Telling, listing_options, print_listing
from cli.output import print_ids, say
from cli.params import JOB_ID, examples, filter_options
from cli.selection import Selection, unknown_queue
from cli.watching import watchable
from client.jobs import PAGE, job_json, read_jobs
from client.situation import Situation, read_situation
from pixmill.errors import CorruptRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.listing import JobFilter, JobLine

RECENT = 10  # finished jobs that are listed beside the unfinished ones
LIMIT = 200

Seen = tuple["JobLine", Situation]


@click.command(
    "ls",
    epilog=examples(
        "pixmill ps",
        "pixmill ps --all --state failed --since today -o ids",
        "pixmill ps --queue bulk --user ann -o json",
        "pixmill ps --columns id,name,state,spec_digest",
    ),
)
@click.option("-a", "--all", "everything", is_flag=True, help="Finished jobs too, without limit.")
@filter_options()
@click.option("--limit", type=click.IntRange(min=1), help=f"At most so many, the newest.  [default: {LIMIT}]")
@click.option("--before", type=JOB_ID, metavar="ID", help="Only jobs older than this one: the next page.")
@click.option("--expand", is_flag=True, help="A line for each job of an array, also for those that wait alike.")
@watchable
@listing_options(LISTING)
@pass_workspace
def command(workspace: Workspace, /, shape: Shape, everything: bool, limit: int | None, **filters: Any) -> None:
    """List jobs, the oldest first: the unfinished ones and the last 10 that have ended.

    REASON tells why a job waits (the first that holds: Held, BeginTime, RetryBackoff, DependencyNeverSatisfied,
    Dependency, QueuePaused, ArrayLimit, QueueLimit, NoWorker, Drained, NoScheduler, Resources, Priority, BrokerDown),
    or why it failed. `pixmill job why ID` tells all of them. Jobs of a pipeline stand below their run. Of an array,
    all that waits stands in one line: 12[4-15] are the elements 4 to 15 of array 12.
    """
    logging.getLogger("db.corrupt").addHandler(logging.NullHandler())  # what is told there is said at the end
    before = filters.pop("before")
    selection = Selection.from_flags(filters)
    collapses = not filters.pop("expand") and shape.is_table
    chosen = replace(selection.job_filter(before=before), collapses=collapses)
    moments = selection.since or selection.until or selection.ended_since
    is_plain = not (everything or chosen.states or chosen.before or limit or moments)
    most = limit or (None if everything else LIMIT)
    if most is None and shape.output_format == "ids":
        print_ids(_all_ids(workspace, chosen))
    elif most is None and shape.is_streamed:
        print_listing(LISTING, shape, every_job(workspace, chosen), _telling(), empty="")
    else:
        _print_some(workspace, shape, chosen, most, RECENT if is_plain else None)
    _say_unread(workspace)


def _say_unread(workspace: Workspace) -> None:
    """A job whose row cannot be read hides none of the others; it is no success either."""
    unread = workspace.database.corrupt_rows.told
    for row, found in unread:
        report(CorruptRow(f"{row} cannot be read: {found}"))
    if unread:
        click.get_current_context().exit(1)


def _print_some(workspace: Workspace, shape: Shape, chosen: "JobFilter", most: int | None, recent: int | None) -> None:
    with workspace.database.read() as session:
        lines, more = read_jobs(session, chosen, most, recent)
        situation = read_situation(session, workspace.settings.scheduler.lease_seconds, lines)
        empty = _empty(session, chosen, everything=most is None) if not lines else ""
    following = {"before": lines[0].job.id} if more else None
    seen = [(line, situation) for line in lines]
    print_listing(LISTING, shape, seen, _telling(), empty=empty, following=following)
    if more and shape.output_format != "json":
        say(f"older jobs are not listed: pixmill ps --before {lines[0].job.id}")


def _telling() -> Telling[Seen]:
    return Telling(
        to_json=lambda seen: job_json(*seen),
        row=lambda seen: job_row(*seen),
        ident=lambda seen: seen[0].job.id,
        arrange=_tree,
    )


def _tree(seen: Sequence[Seen]) -> list[list[str]]:
    return job_tree([line for line, _situation in seen], seen[0][1], COLUMNS, job_row) if seen else []


def every_job(workspace: Workspace, chosen: "JobFilter") -> Iterator[Seen]:
    """All jobs by id, some at a time: memory does not grow with them, nor does a slow reader hold a transaction."""
    from db.listing import next_jobs

    after = 0
    while True:
        with workspace.database.read() as session:
            lines = next_jobs(session, chosen, after, PAGE)
            situation = read_situation(session, workspace.settings.scheduler.lease_seconds, lines)
        yield from ((line, situation) for line in lines)
        if len(lines) < PAGE:
            return
        after = lines[-1].job.id


def _all_ids(workspace: Workspace, chosen: "JobFilter") -> list[int]:
    """Ids alone are read many times faster than jobs."""
    from db.listing import chosen_jobs

    with workspace.database.read() as session:
        return [head.id for head in chosen_jobs(session, chosen)]


def _empty(session: "Session", chosen: "JobFilter", *, everything: bool) -> str:
    unknown = unknown_queue(session, chosen.queues)
    if unknown is not None:
        return f"no jobs: {unknown}"
    return "no jobs" if everything else "no jobs to list; submit one: pixmill submit --help"

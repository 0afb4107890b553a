"""How many jobs of an array run at once, changed from the command line."""

import click

from cli.acting import Request
from cli.context import Workspace
from cli.output import say
from cli.poking import poke_scheduler
from cli.rehearsing import rehearse
from client.acts import Act, arrays_of, limit_array, perform


def limit_arrays(workspace: Workspace, request: Request, limit: int | None) -> None:
    """Set the limit of the arrays that are named, by their ids or those of their jobs; None lifts it.

    Raises UsageError for another selection, NotFound for an array that does not exist.
    """
    selection = request.selection
    if selection.has_filter and not selection.has_only_arrays:
        raise click.UsageError("--array-limit is for arrays: name them by ID or --array ID, without another filter")
    arrays = selection.arrays
    if selection.ids:
        with workspace.database.read() as session:
            arrays = tuple(arrays_of(session, selection.ids))
    act = limit_array(request.actor, limit)
    for array_id in arrays:
        say(f"array {array_id}: {_limit(workspace, act, array_id, dry_run=request.dry_run)}")
    if request.dry_run:
        say("this was a rehearsal, nothing was changed")
    else:
        poke_scheduler(workspace)


def _limit(workspace: Workspace, act: Act, array_id: int, *, dry_run: bool) -> str:
    if dry_run:
        return rehearse(workspace.database, lambda session: act.do(session, array_id))
    return perform(workspace, act, array_id)

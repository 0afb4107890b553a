"""Tell the scheduler that there is something to do."""

import client.poking
from cli.context import Workspace
from cli.output import say


def poke_scheduler(workspace: Workspace) -> None:
    """Ask the scheduler to look at the database now; without Redis it looks by itself a little later."""
    error = client.poking.poke_scheduler(workspace)
    if error is not None:
        say(f"note: {error.message.rstrip('.')}; the scheduler will see the change by itself")

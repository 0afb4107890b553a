"""Tell the scheduler that there is something to do."""

from cli.context import Workspace
from cli.output import say
from pixmill.errors import BrokerUnreachable


def poke_scheduler(workspace: Workspace) -> None:
    """Ask the scheduler to look at the database now; without Redis it looks by itself a little later."""
    from scheduler.broker import poke

    try:
        poke(workspace.settings)
    except BrokerUnreachable as error:
        say(f"note: {error.message.rstrip('.')}; the scheduler will see the change by itself")

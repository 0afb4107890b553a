"""Tell the scheduler that there is something to do."""

from client.workspace import Workspace
from pixmill.errors import BrokerUnreachable


def poke_scheduler(workspace: Workspace) -> BrokerUnreachable | None:
    """Ask the scheduler to look at the database now; what Redis answers, if it does not take the message.

    Nothing is lost then: the scheduler looks by itself a little later.
    """
    from scheduler.broker import poke

    try:
        poke(workspace.settings)
    except BrokerUnreachable as error:
        return error
    return None

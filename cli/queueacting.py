"""What takes a queue more than one row: to wait until nothing of it runs, and to cancel all that waits in it."""

import click

from cli.context import Workspace, user_name
from cli.errors import INTERRUPTED, report
from cli.output import say
from cli.removing import Removal, agreed
from cli.waiting import say_waiting
from client.acts import Actor, perform_all, purge
from client.waiting import watch_drain
from client.wording import plural
from pixmill.errors import JobNotFinished, PixmillError
from pixmill.states import State


def wait_until_drained(workspace: Workspace, name: str, timeout_seconds: float | None) -> None:
    """Wait until nothing of the queue runs; Ctrl-C leaves it paused.  Raises NotFound, and JobNotFinished in time."""
    try:
        *_, left = watch_drain(workspace, name, timeout_seconds=timeout_seconds, note=say_waiting)
    except KeyboardInterrupt:
        say(f"detached; queue {name} stays paused, its tasks go on: pixmill ps --queue {name}")
        click.get_current_context().exit(INTERRUPTED)
    if left:
        raise JobNotFinished(
            f"{plural(left, 'task')} of queue {name} still {'runs' if left == 1 else 'run'}",
            hint=f"pixmill ps --queue {name}, or add --now",
        )
    say(f"nothing of queue {name} runs any more")


def purge_queue(workspace: Workspace, name: str, removal: Removal) -> None:
    """Cancel all that waits in the queue, if that is agreed to; the exit code is 1 if some of it had begun.

    Raises NotFound.
    """
    act = purge(Actor(name=user_name(), why=removal.reason))
    waiting = _waiting_jobs(workspace, name, act.states)
    if not waiting:
        say(f"nothing waits in queue {name}; nothing was changed")
        return
    deed = f"cancel {plural(len(waiting), 'waiting job')} of queue {name}"
    if not agreed(workspace, removal, deed, name, lambda session: act.do(session, waiting[0])):
        return
    outcomes = [outcome for _job_id, outcome in perform_all(workspace, act, waiting)]
    errors = [outcome for outcome in outcomes if isinstance(outcome, PixmillError)]
    say(f"{plural(len(outcomes) - len(errors), 'job')} of queue {name} cancelled")
    for error in errors:
        report(error)
    if errors:
        click.get_current_context().exit(1)


def _waiting_jobs(workspace: Workspace, name: str, states: tuple[State, ...]) -> list[int]:
    from db.listing import JobFilter, chosen_jobs
    from db.queues import get_queue

    with workspace.database.read() as session:
        get_queue(session, name)
        return [head.id for head in chosen_jobs(session, JobFilter(states=states, queues=(name,)))]

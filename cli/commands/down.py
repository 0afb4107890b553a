"""`pixmill down`: stop what `pixmill up` started."""

import click

from cli.context import Workspace, pass_workspace
from cli.local.locks import is_held
from cli.local.record import lock_path
from cli.local.stopping import patience_seconds, stop_home
from cli.output import say
from cli.params import SPAN, examples


@click.command("down", epilog=examples("pixmill down", "pixmill down --timeout 5s"))
@click.option(
    "--timeout",
    type=SPAN,
    metavar="SPAN",
    help="How long workers may take to save a checkpoint; then they are killed.  [default: worker.stop_grace_seconds]",
)
@pass_workspace
def command(workspace: Workspace, timeout: float | None) -> None:
    """Stop the broker, the scheduler and the workers that `pixmill up` started, and wait until they have ended.

    Running jobs save a checkpoint and go on from there after the next `up`. rc 0 too when nothing runs.
    """
    settings = workspace.settings
    if is_held(lock_path(settings)):
        say("stopping; running jobs save a checkpoint first")
    stopped = stop_home(settings, patience_seconds(settings) if timeout is None else timeout)
    if stopped:
        say(f"stopped {', '.join(stopped)}")
    else:
        say(f"nothing runs on {settings.home}")

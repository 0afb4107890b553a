"""`pixmill scheduler`: the process that decides what runs when."""

import click

from cli.context import Workspace, pass_workspace
from cli.lazy import NamedGroup
from cli.params import examples


@click.group("scheduler", cls=NamedGroup, epilog=examples("pixmill scheduler run"))
def command() -> None:
    """The process that decides what runs when."""


@command.command("run", epilog=examples("pixmill scheduler run", "pixmill --config /etc/pixmill/a.toml scheduler run"))
@pass_workspace
def run(workspace: Workspace) -> None:
    """Schedule jobs until SIGTERM or Ctrl-C; any number of schedulers may run at once.

    `pixmill up` starts one; run it yourself where a service manager looks after processes. Logs go to stderr.
    """
    from pixmill.logs import log_to_stderr
    from scheduler.loop import run_scheduler

    log_to_stderr()
    run_scheduler(workspace.settings)

"""`pixmill scheduler`: the process that decides what runs when."""

import socket

import click

from cli.context import Workspace, pass_workspace
from cli.lazy import NamedGroup
from cli.output import say
from cli.params import SPAN, examples
from client.wording import age


@click.group("scheduler", cls=NamedGroup, epilog=examples("pixmill scheduler run", "pixmill scheduler check"))
def command() -> None:
    """The process that decides what runs when."""


@command.command(
    "run",
    epilog=examples(
        "pixmill scheduler run",
        "pixmill --config /etc/pixmill/a.toml scheduler run",
        "pixmill scheduler run --metrics 9108",
    ),
)
@click.option("--metrics", metavar="HOST:PORT", help="Serve metrics to Prometheus; a PORT alone: to this machine.")
@pass_workspace
def run(workspace: Workspace, metrics: str | None) -> None:
    """Schedule jobs until SIGTERM or Ctrl-C; any number of schedulers may run at once.

    `pixmill up` starts one; run it yourself where a service manager looks after processes. Logs go to stderr.
    """
    from pixmill.logs import log_to_stderr
    from scheduler.loop import run_scheduler

    workspace.more_flags = {} if metrics is None else {"scheduler.metrics": metrics}
    settings = workspace.settings
    log_to_stderr(settings.log.format, settings.log.level)
    if settings.scheduler.metrics is None:
        run_scheduler(settings)
        return
    from client.monitoring.exporter import Exporter

    exporter = Exporter(settings)
    exporter.start()
    run_scheduler(settings)
    exporter.stop()


@command.command("check", epilog=examples("pixmill scheduler check", "pixmill scheduler check --max-age 30s"))
@click.option("--max-age", type=SPAN, default="60", show_default=True, help="Longest time since a tick.")
@click.pass_context
def check(ctx: click.Context, max_age: float) -> None:
    """Check that the scheduler of this host ticks: rc 0 if it does, 1 if it does not or none is there.

    Made for health checks of containers and services, as `pixmill worker check` is. A broker that is away is no fault
    of the scheduler's, and does not count; `pixmill status` tells it.
    """
    from db.workers import database_time, scheduler_on

    host = socket.gethostname()
    with ctx.ensure_object(Workspace).database.read() as session:
        scheduler, at = scheduler_on(session, host), database_time(session)
    if scheduler is None:
        say(f"no scheduler runs on {host}")
        ctx.exit(1)
    if (at - scheduler.seen_at).total_seconds() > max_age:
        say(f"the scheduler of {host}, process {scheduler.pid}, last ticked {age(scheduler.seen_at, at)} ago")
        ctx.exit(1)

"""`pixmill worker`: the processes that do the work."""

import socket

import click

from cli.context import Workspace, pass_workspace
from cli.fleet import Member, fleet_of
from cli.formatting import age
from cli.output import Column, print_list, print_table, say
from cli.params import SPAN, examples, output_option

COLUMNS = [
    Column(title="ID", align="right"),
    Column(title="WORKER", shrinks=True),
    Column(title="STATE"),
    Column(title="JOB", align="right"),
    Column(title="SEEN", align="right"),
    Column(title="UP", align="right", dropped=1),
    Column(title="PID", align="right", dropped=2),
    Column(title="VERSION", dropped=3),
]


@click.group("worker", epilog=examples("pixmill worker ls"))
def command() -> None:
    """The processes that do the work, one a device."""


@command.command("start", epilog=examples("pixmill worker start --device cuda:0", "pixmill worker start --device cpu"))
@click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda:N", help="auto: the first GPU, else the CPU."
)
@pass_workspace
def start(workspace: Workspace, device: str) -> None:
    """Work for one device until SIGTERM or Ctrl-C, which let a training job reach its next checkpoint.

    `pixmill up` starts one for each device; start it yourself on further hosts, or under a service manager.
    """
    from worker.parent.main import run_worker

    run_worker(workspace.settings, device)


@command.command("ls", epilog=examples("pixmill worker ls", "pixmill worker ls -o json"))
@output_option("table", "json")
@pass_workspace
def ls(workspace: Workspace, output_format: str) -> None:
    """List the newest worker of each device."""
    fleet = fleet_of(workspace)
    if output_format == "json":
        print_list("worker_list", [member.worker_json() for member in fleet])
        return
    print_table(
        COLUMNS, [_row(member) for member in fleet], empty="no worker has ever run here; start some: pixmill up"
    )


def _row(member: Member) -> list[str]:
    worker = member.worker
    return [
        str(worker.id),
        worker.name,
        member.state,
        str(member.job_id or "–"),
        age(worker.seen_at, member.at),
        age(worker.started_at, worker.stopped_at or member.at),
        str(worker.pid),
        worker.version,
    ]


@command.command("check", epilog=examples("pixmill worker check", "pixmill worker check --max-age 30s --device cuda:0"))
@click.option("--max-age", type=SPAN, default="90", show_default=True, help="Longest time since a heartbeat.")
@click.option("--device", help="Only the worker of this device.")
@click.pass_context
def check(ctx: click.Context, max_age: float, device: str | None) -> None:
    """Check that this host's workers beat: rc 0 if all do, 1 if one does not or none is there.

    Made for health checks of containers and services: it asks the database, so a worker that can no longer reach it
    counts as unwell.
    """
    workspace = ctx.ensure_object(Workspace)
    host = socket.gethostname()
    here = [
        member
        for member in fleet_of(workspace)
        if member.worker.device.host == host and device in {None, member.worker.device.name}
    ]
    running = [member for member in here if member.worker.stopped_at is None]
    late = [member for member in running if member.seconds_silent > max_age]
    if not running:
        say(f"no worker runs on {host}" + (f" for {device}" if device else ""))
    for member in late:
        say(f"worker {member.worker.name} was last heard of {age(member.worker.seen_at, member.at)} ago")
    if late or not running:
        ctx.exit(1)

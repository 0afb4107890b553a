"""`pixmill worker`: the processes that do the work."""

import socket

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.draining import drain_options, say_drained
from cli.lazy import NamedGroup
from cli.listing import Listing, Shape, Telling, listing_options, print_listing
from cli.output import Column, say
from cli.params import DEVICE, SPAN, examples
from cli.poking import poke_scheduler
from cli.watching import watchable
from client.fleet import Member, find_member, fleet_of, full_name
from client.moments import ago
from client.wording import age

COLUMNS = [
    Column(title="ID", align="right"),
    Column(title="WORKER", shrinks=True),
    Column(title="STATE"),
    Column(title="JOB", align="right"),
    Column(title="SEEN", align="right"),
    Column(title="UP", align="right", dropped=1),
    Column(title="PID", align="right", dropped=2),
    Column(title="VERSION", dropped=3),
    Column(title="REASON", shrinks=True, least=12),
]
LISTING = Listing(schema="worker_list", columns=COLUMNS)


@click.group("worker", cls=NamedGroup, epilog=examples("pixmill worker ls", "pixmill worker check"))
def command() -> None:
    """The processes that do the work, one a device or one for several devices."""


@command.command(
    "start", epilog=examples("pixmill worker start --device cuda:0", "pixmill worker start --device cuda:0-3")
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda:N|cuda:N-M",
    help="auto: the first GPU, else the CPU; cuda:0-3 or cuda:0,cuda:2: several as one.",
)
@pass_workspace
def start(workspace: Workspace, device: str) -> None:
    """Work for one device until SIGTERM or Ctrl-C, which let a training job reach its next checkpoint.

    A worker of several devices runs one task at a time, too: a train job that asks for so many with --devices, or any
    other one on the first of them.

    `pixmill up` starts one for each device; start it yourself on further hosts, or under a service manager.
    """
    from pixmill.logs import log_to_stderr
    from worker.parent.main import run_worker

    settings = workspace.settings
    log_to_stderr(settings.log.format, settings.log.level)
    run_worker(settings, device)


@command.command("ls", epilog=examples("pixmill worker ls", "pixmill worker ls -o json"))
@watchable
@listing_options(LISTING)
@pass_workspace
def ls(workspace: Workspace, shape: Shape) -> None:
    """List the newest worker of each device.

    free; busy; draining (it ends what it runs, and takes no more); drained (an operator keeps it idle); deaf (it hears
    no wake-ups); silent (it stopped answering); down (it has ended).
    """
    telling = Telling(to_json=Member.worker_json, row=_row, ident=full_name)
    empty = "no worker has ever run here; start some: pixmill up"
    print_listing(LISTING, shape, fleet_of(workspace), telling, empty=empty)


def _row(member: Member) -> list[str]:
    worker = member.worker
    return [
        str(worker.id),
        worker.name,
        member.state,
        str(member.job_id or "–"),
        ago(worker.seen_at, member.at),
        ago(worker.started_at, worker.stopped_at or member.at),
        str(worker.pid),
        worker.version,
        member.remark,
    ]


@command.command(
    "drain",
    epilog=examples("pixmill worker drain cuda:0 --reason 'new code'", "pixmill worker drain cpu --reason x --now"),
)
@click.argument("name", type=DEVICE)
@drain_options
@pass_workspace
def drain(workspace: Workspace, name: str, reason: str, now: bool) -> None:
    """Let a worker take nothing more, until `pixmill worker resume` or its end; the next worker of the device works.

    NAME is its device: cuda:0 of this host, or HOST:cuda:0 of any. To keep a device free for good: pixmill device
    drain.
    """
    from db.control import drain_worker

    member, actor = find_member(fleet_of(workspace), name), user_name()
    worker = member.worker
    changed = workspace.database.transact(
        lambda session: drain_worker(session, worker.id, actor=actor, why=reason, now=now)
    )
    say_drained(f"worker {worker.name}", member, changed=changed, now=now)


@command.command("resume", epilog=examples("pixmill worker resume cuda:0"))
@click.argument("name", type=DEVICE)
@click.option("--reason", metavar="TEXT", help="Why; it is kept beside who and when.")
@pass_workspace
def resume(workspace: Workspace, name: str, reason: str | None) -> None:
    """Let a drained worker take tasks again.

    NAME is its device: cuda:0 of this host, or HOST:cuda:0 of any.
    """
    from db.control import resume_worker

    member, actor = find_member(fleet_of(workspace), name), user_name()
    worker = member.worker
    changed = workspace.database.transact(lambda session: resume_worker(session, worker.id, actor=actor, why=reason))
    say(f"worker {worker.name} works again" if changed else f"worker {worker.name} was not drained")
    if changed:
        poke_scheduler(workspace)


@command.command("check", epilog=examples("pixmill worker check", "pixmill worker check --max-age 30s --device cuda:0"))
@click.option("--max-age", type=SPAN, default="90", show_default=True, help="Longest time since a heartbeat.")
@click.option("--device", type=DEVICE, help="Only the worker of this device.")
@click.pass_context
def check(ctx: click.Context, max_age: float, device: str | None) -> None:
    """Check that this host's workers beat and hear: rc 0 if all do, 1 if one does not or none is there.

    A worker is deaf when it idles and has missed two of the messages with which the scheduler tries whether it hears.
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
    deaf = [member for member in running if member.state == "deaf"]
    for member in deaf:
        worker = member.worker
        say(f"worker {worker.name} is deaf: it has missed {member.canaries_missed} messages; restart it")
    if late or deaf or not running:
        ctx.exit(1)

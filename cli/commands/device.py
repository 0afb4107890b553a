"""`pixmill device`: what computes."""

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.devices import device_rows
from cli.draining import drain_options, say_drained
from cli.lazy import NamedGroup
from cli.listing import Listing, Shape, Telling, listing_options, print_listing
from cli.output import Column, say
from cli.params import DEVICE, examples
from cli.poking import poke_scheduler
from cli.watching import watchable
from client.fleet import Member, find_member, fleet_of, full_name

COLUMNS = [
    Column(title="DEVICE"),
    Column(title="HOST", shrinks=True, least=6, dropped=1),
    Column(title="MODEL", shrinks=True, least=8),
    Column(title="MEMORY", align="right", dropped=3),
    Column(title="USED", align="right", wide=True),
    Column(title="UTIL", align="right", wide=True),
    Column(title="STATE"),
    Column(title="JOB", align="right"),
    Column(title="SEEN", align="right", dropped=2),
    Column(title="REASON", shrinks=True, least=12),
]
LISTING = Listing(schema="device_list", columns=COLUMNS)


@click.group(
    "device", cls=NamedGroup, epilog=examples("pixmill device ls", "pixmill device drain cuda:0 --reason 'new driver'")
)
def command() -> None:
    """CPUs and GPUs that work, or once worked, for this database."""


@command.command("ls", epilog=examples("pixmill device ls", "pixmill device ls -o wide", "pixmill device ls -o json"))
@watchable
@listing_options(LISTING)
@pass_workspace
def ls(workspace: Workspace, shape: Shape) -> None:
    """List devices, what they do, and why they do not.

    free; busy; draining (it ends what it runs, and takes no more); drained (an operator keeps it free); deaf (its
    worker hears no wake-ups); silent (its worker stopped answering); down (its worker has ended). `-o wide` adds how
    much of the memory is used, by whoever it is, and how busy the device was at the last heartbeat.
    """
    telling = Telling(to_json=Member.device_json, row=lambda member: device_rows([member], COLUMNS)[0], ident=full_name)
    empty = "no worker has ever run here; start some: pixmill up"
    print_listing(LISTING, shape, fleet_of(workspace), telling, empty=empty)


@command.command(
    "drain",
    epilog=examples(
        "pixmill device drain cuda:0 --reason 'new driver'", "pixmill device drain node7:cuda:1 --reason fan --now"
    ),
)
@click.argument("name", type=DEVICE)
@drain_options
@pass_workspace
def drain(workspace: Workspace, name: str, reason: str, now: bool) -> None:
    """Let nothing more start on a device, also when its worker is started again, until `pixmill device resume`.

    NAME is cuda:0 of this host, or HOST:cuda:0 of any.
    """
    from db.control import drain_device

    member, actor = find_member(fleet_of(workspace), name), user_name()
    device_id = member.worker.device_id
    changed = workspace.database.transact(
        lambda session: drain_device(session, device_id, actor=actor, why=reason, now=now)
    )
    say_drained(f"device {member.label}", member, changed=changed, now=now)


@command.command("resume", epilog=examples("pixmill device resume cuda:0", "pixmill device resume node7:cuda:1"))
@click.argument("name", type=DEVICE)
@click.option("--reason", metavar="TEXT", help="Why; it is kept beside who and when.")
@pass_workspace
def resume(workspace: Workspace, name: str, reason: str | None) -> None:
    """Let tasks start on a drained device again.

    NAME is cuda:0 of this host, or HOST:cuda:0 of any.
    """
    from db.control import resume_device

    member, actor = find_member(fleet_of(workspace), name), user_name()
    device_id = member.worker.device_id
    changed = workspace.database.transact(lambda session: resume_device(session, device_id, actor=actor, why=reason))
    say(f"device {member.label} is in use again" if changed else f"device {member.label} was not drained")
    if changed:
        poke_scheduler(workspace)

"""`pixmill status`: everything on one screen."""

from typing import TYPE_CHECKING

import click

from cli.context import Workspace
from cli.devices import device_rows
from cli.listing import utc_option
from cli.output import Column, print_item, print_table, print_title
from cli.params import examples, output_option
from cli.watching import watchable

if TYPE_CHECKING:
    from client.health import Check, Health

COLUMNS = [Column(title="PART"), Column(title="STATE"), Column(title="DETAIL", shrinks=True)]
DEVICE_COLUMNS = [
    Column(title="DEVICE"),
    Column(title="HOST", shrinks=True, least=6, dropped=1),
    Column(title="MODEL", shrinks=True, least=8),
    Column(title="MEMORY", align="right", dropped=2),
    Column(title="STATE"),
    Column(title="JOB", align="right"),
    Column(title="SEEN", align="right", dropped=3),
    Column(title="REASON", shrinks=True, least=12, dropped=4),
]


@click.command(
    "status",
    epilog=examples("pixmill status", "pixmill status -o json"),
)
@watchable
@output_option("text", "json")
@utc_option
@click.pass_context
def command(ctx: click.Context, output_format: str) -> None:
    """Show database, broker, scheduler, workers, queues and disk; rc 1 when something needs attention.

    Answers within two seconds, also when a server does not, and changes nothing.
    """
    from client.health import look

    workspace = ctx.ensure_object(Workspace)
    health = look(workspace)
    if output_format == "json":
        print_item("status", health.to_json())
    else:
        _print_screen(workspace, health)
    if not health.is_ok:
        ctx.exit(1)


def _print_screen(workspace: Workspace, health: "Health") -> None:
    from pixmill import __version__

    print_title(f"pixmill {__version__}  {workspace.settings.home}")
    print_table(COLUMNS, [_row(check) for check in health.checks], empty="")
    if health.fleet:
        click.echo()
        print_table(DEVICE_COLUMNS, device_rows(health.fleet, DEVICE_COLUMNS), empty="")
    hints = dict.fromkeys(check.hint for check in health.checks if check.hint)
    for hint in hints:
        click.echo(f"hint:  {hint}", err=True)


def _row(check: "Check") -> list[str]:
    return [check.part, check.state, check.detail]

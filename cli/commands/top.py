"""`pixmill top`: everything, drawn again and again."""

import shutil
import sys

import click

from cli.context import Workspace, pass_workspace
from cli.listing import utc_option
from cli.output import can_redraw, has_colors, is_terminal, print_item, terminal_columns
from cli.params import Parsed, examples, output_option
from cli.topscreen import Space, screen_lines
from cli.watching import HEAD_LINES, SECONDS, parse_interval, watch
from client.glance import glance


@click.command("top", epilog=examples("pixmill top", "pixmill top 10", "pixmill top -o json"))
@click.argument(
    "seconds", metavar="[SECONDS]", type=Parsed("time span", parse_interval), required=False, default=SECONDS
)
@output_option("text", "json")
@utc_option
@pass_workspace
def command(workspace: Workspace, seconds: float, output_format: str) -> None:
    """Show queues, devices, what runs and what waits first, every two seconds unless given, until Ctrl-C.

    BUSY and MEMORY USED are those of the last heartbeat, by whoever it is; – where nobody knows. In a pipe, and with -o
    json, everything is printed once.
    """
    if output_format == "json":
        print_item("top", glance(workspace).to_json())
    elif can_redraw(sys.stdout):
        watch(lambda: _draw(workspace, whole=False), seconds)
    else:
        _draw(workspace, whole=True)


def _draw(workspace: Workspace, *, whole: bool) -> None:
    columns = terminal_columns() if is_terminal(sys.stdout) else None
    rows = None if whole else shutil.get_terminal_size().lines - HEAD_LINES
    seen = glance(workspace, collapses=True)
    for line in screen_lines(seen, Space(columns=columns, rows=rows, colored=has_colors(sys.stdout))):
        click.echo(line, color=True)

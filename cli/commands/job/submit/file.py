"""`pixmill submit -f FILE`: ask for the jobs that files describe."""

from typing import Any

import click

from cli.commands.job.submit.flags import preset_options, submit
from cli.commands.job.submit.group import FROM_FILE, KINDS
from cli.commands.job.submit.options import common_options
from cli.context import Workspace, pass_workspace
from cli.params import PAIR, examples


@click.command(FROM_FILE, hidden=True, epilog=examples("pixmill submit -f job.yaml"))
@click.option("--set", "options", multiple=True, type=PAIR, help="Option of a train job's preset; repeatable.")
@click.option("--seed", type=int, help="Seed.")
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Ask for the jobs that files describe."""
    if not flags["sources"]:
        raise click.UsageError(f"say what to do: {', '.join(KINDS[:-1])} or {KINDS[-1]}, or name a file with -f")
    flags["options"] = preset_options(flags["options"])
    submit(workspace, None, flags)

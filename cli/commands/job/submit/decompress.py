"""`pixmill submit decompress`: make images of such files again."""

from typing import Any

import click

from cli.commands.job.submit.flags import submit
from cli.commands.job.submit.options import common_options
from cli.context import Workspace, pass_workspace
from cli.params import JOB_ID, MODEL, examples


@click.command(
    "decompress",
    epilog=examples(
        "pixmill submit decompress --output 14 --wait",
        "pixmill submit decompress --files ~/received --model fsq-ae-digits@1",
    ),
)
@click.option("--output", type=JOB_ID, metavar="ID", help="The compress job whose files become images again.")
@click.option("--files", metavar="FOLDER", help="Or a folder that holds such files (*.pmc), or an exported set.")
@click.option("--model", type=MODEL, help="The model that wrote the files of FOLDER.")
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Make PNG images of compressed ones, and compare them with what was recorded."""
    submit(workspace, "decompress", flags)

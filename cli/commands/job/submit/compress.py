"""`pixmill submit compress`: write images as small files."""

from typing import Any

import click

from cli.commands.job.submit.flags import submit
from cli.commands.job.submit.options import bad_image_option, common_options, part_option
from cli.context import Workspace, pass_workspace
from cli.params import COUNT, DATASET, MODEL, examples


@click.command(
    "compress",
    epilog=examples(
        "pixmill submit compress --model fsq-ae-digits --wait",
        "pixmill submit compress --model fsq-ae-digits --dataset folder:~/scans -n 200",
    ),
)
@click.option(
    "--model", type=MODEL, help="NAME, NAME@VERSION, or job:ID of a train job of preset fsq-ae, which may still run."
)
@click.option(
    "--dataset", type=DATASET, help="What to compress; as of train.  [default: what the model was trained on]"
)
@part_option
@click.option("-n", "--n", "n", type=COUNT, help="How many of them at most, from the first on.  [default: 1k]")
@bad_image_option
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Write images as small files, and measure what is lost beside PNG and WebP."""
    submit(workspace, "compress", flags)

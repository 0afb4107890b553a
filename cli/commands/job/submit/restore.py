"""`pixmill submit restore`: make whole images of damaged ones."""

from typing import Any

import click

from cli.commands.job.submit.flags import submit
from cli.commands.job.submit.options import common_options, precision_option
from cli.context import Workspace, pass_workspace
from cli.params import COUNT, MODEL, examples


@click.command(
    "restore",
    epilog=examples(
        "pixmill submit restore --model conv-ae-digits --input ~/scans --wait",
        "pixmill submit restore --model holes --input ~/torn --mask ~/torn-masks",
        "pixmill submit restore --model conv-ae-digits --input digits --degrade",
    ),
)
@click.option(
    "--model",
    type=MODEL,
    help="NAME, NAME@VERSION, or job:ID of a train job of conv-ae or pix2pix, which may still run.",
)
@click.option("--input", metavar="FOLDER|DATASET", help="A folder of images of one size; or a data set, as of train.")
@click.option(
    "--mask", metavar="FOLDER", help="A mask for each image, of the same name: white where pixels are missing."
)
@click.option("--degrade", is_flag=True, default=None, help="The images are whole: damage them first, and measure.")
@click.option(
    "--part", type=click.Choice(["held-out", "all"]), help="Of a data set.  [default: held-out; of an archive, all]"
)
@click.option("-n", "--n", "n", type=COUNT, help="How many images at most, from the first on.  [default: all]")
@click.option("--shard-size", type=COUNT, metavar="IMAGES", help="Images in one archive.  [default: 1k]")
@click.option("--seed", type=int, help="Of the damage.  [default: 0]")
@precision_option
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Make whole images of damaged ones: without noise, with holes filled, sharper, larger, as the model has learnt.

    Files of a folder keep their size, whatever the model's: larger ones are restored in tiles that overlap.
    """
    submit(workspace, "restore", flags)

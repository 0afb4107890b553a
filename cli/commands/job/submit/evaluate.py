"""`pixmill submit evaluate`: judge images against real ones."""

from typing import Any

import click

from cli.commands.job.submit.flags import submit
from cli.commands.job.submit.options import bad_image_option, common_options
from cli.context import Workspace, pass_workspace
from cli.params import COUNT, DATASET, JOB_ID, MODEL, examples


@click.command(
    "evaluate",
    epilog=examples(
        "pixmill submit evaluate --output 13",
        "pixmill submit evaluate --output 13 --n 2k --no-usefulness",
        "pixmill submit evaluate --output 13 --judge reader@3",
    ),
)
@click.option("--output", type=JOB_ID, metavar="ID", help="The generate job whose images are judged.")
@click.option("--dataset", type=DATASET, help="Real images to compare with.  [default: what the model was trained on]")
@click.option("-n", "--n", "n", type=COUNT, help="How many of its images, from the first on.  [default: 5k]")
@click.option(
    "--judge", type=MODEL, help="Trained cnn whose features measure.  [default: one trained on the real images now]"
)
@click.option("--inception", metavar="FILE", help="Weights of Inception, to measure fid-clean too; see docs/models.md.")
@click.option("--seed", type=int, help="Of the judges.  [default: 0]")
@click.option("--usefulness/--no-usefulness", default=None, help="Train a classifier on them, test it on real images.")
@bad_image_option
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Judge generated images against real ones."""
    submit(workspace, "evaluate", flags)

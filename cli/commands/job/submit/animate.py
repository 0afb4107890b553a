"""`pixmill submit animate`: make animations."""

from typing import Any

import click

from cli.commands.job.submit.flags import class_names, submit
from cli.commands.job.submit.options import common_options, model_option, precision_option
from cli.context import Workspace, pass_workspace
from cli.params import COUNT, examples


@click.command(
    "animate",
    epilog=examples(
        "pixmill submit animate --model vae-digits -n 10 --frames 60 --stops 5",
        "pixmill submit animate --model predrnn-digits -n 20 --given 10 --frames 20",
    ),
)
@model_option
@click.option("-n", "--n", "n", type=COUNT, help="How many animations.  [default: 10]")
@click.option("--frames", type=COUNT, help="Of a walk in all; of a sequence, those predicted.  [default: 40]")
@click.option("--stops", type=COUNT, help="Latents that a walk comes by, back to the first.  [default: 4]")
@click.option("--given", type=COUNT, metavar="FRAMES", help="Known frames of a sequence.  [default: as in training]")
@click.option("--classes", metavar="A,B", help="Each walk keeps to one of these, in turn.  [default: all]")
@click.option("--frame-milliseconds", type=int, metavar="MS", help="How long a frame is shown.  [default: 100]")
@click.option("--seed", type=int, help="Same seed, same animations.  [default: 0]")
@precision_option
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Make animations, as WebP and GIF, and a data set of their frames.

    A generator walks through its latents; a model of sequences goes on with held-out ones.
    """
    flags["classes"] = class_names(flags["classes"])
    submit(workspace, "animate", flags)

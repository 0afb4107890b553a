"""`pixmill submit train`: train a model."""

from typing import Any

import click

from cli.commands.job.submit.flags import preset_options, submit
from cli.commands.job.submit.options import bad_image_option, common_options, precision_option
from cli.context import Workspace, pass_workspace
from cli.params import COUNT, DATASET, PAIR, PRESET, examples


@click.command(
    "train",
    epilog=examples(
        "pixmill submit train --model vae --dataset digits",
        "pixmill submit train --model sngan --dataset folder:~/flowers --image-size 32 --images 2M --set width=64",
        "pixmill submit train --model vae --dataset flowers --name flowers --from flowers@champion --skip-unchanged",
    ),
)
@click.option("--model", type=PRESET, help="Preset; `pixmill model presets` lists them.")
@click.option(
    "--dataset",
    type=DATASET,
    help="digits, mnist, …, folder:, zip:, tar: or idx:PATH, a name of `pixmill dataset ls`, or moving:NAME.",
)
@click.option("--image-size", type=int, metavar="PIXELS", help="Side of the square images.  [default: the data's]")
@click.option("--channels", type=click.Choice([1, 3]), help="1 gray, 3 RGB.  [default: the data's]")
@click.option("--conditional/--unconditional", default=None, help="Learn to make images of a given class.")
@click.option("--images", type=COUNT, help="Images to learn from, repeats included.  [default: 200k]")
@click.option("--seed", type=int, help="Same seed, same model, on the same device.  [default: 0]")
@click.option("--batch-size", type=int, metavar="IMAGES", help="Images of one step.  [default: the preset's]")
@click.option("--devices", type=int, metavar="N", help="Of one worker, that share each batch.  [default: 1]")
@precision_option
@bad_image_option
@click.option("--set", "options", multiple=True, type=PAIR, help="Option of the preset; repeatable.")
@click.option(
    "--from",
    "start_from",
    metavar="MODEL",
    help="Begin with the weights of NAME, NAME@VERSION, NAME@ALIAS or job:ID.  [default: none]",
)
@click.option("--skip-unchanged", is_flag=True, default=None, help="Train nothing if the data are those of before.")
@click.option("--accept-drift", is_flag=True, default=None, help="Train, whatever has become of the data.")
@click.option("--min-images", type=COUNT, help="Refuse data of fewer images.  [default: 1]")
@click.option(
    "--max-shrink", type=float, metavar="SHARE", help="Of the images before, that may be gone.  [default: 0.5]"
)
@click.option("--max-class-shift", type=float, metavar="SHARE", help="That may be of other classes.  [default: 0.5]")
@click.option("--max-unreadable", type=float, metavar="SHARE", help="Of all files, left out.  [default: 0.5]")
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Train a model, and publish it as the next version of its line."""
    flags["options"] = preset_options(flags["options"])
    submit(workspace, "train", flags)

"""`pixmill submit edit`: change images."""

from typing import Any

import click

from cli.commands.job.submit.flags import class_names, numbers, submit
from cli.commands.job.submit.options import (
    bad_image_option,
    common_options,
    model_option,
    part_option,
    precision_option,
)
from cli.context import Workspace, pass_workspace
from cli.params import COUNT, DATASET, examples


@click.command(
    "edit",
    epilog=examples(
        "pixmill submit edit --model vae-digits --dataset digits --way attribute --attribute 3 --against 8",
        "pixmill submit edit --model vae-digits --dataset folder:~/faces --way interpolate --indices 3,7,12,40",
        "pixmill submit edit --model digits --way class --classes 0,1,2 --n 20",
        "pixmill submit edit --model cnn-flowers --way optimise --dataset folder:~/photos --style folder:~/paintings",
    ),
)
@model_option
@click.option(
    "--way",
    type=click.Choice(["attribute", "interpolate", "class", "optimise"]),
    help="Along a direction; from one to another; as another class; in the style of another image.",
)
@click.option(
    "--dataset", type=DATASET, help="What to edit; as of train.  [default: images that the model makes of the seed]"
)
@part_option
@click.option("--indices", metavar="I,J", help="The numbers of the images; pairs to interpolate.  [default: the first]")
@click.option("-n", "--n", "n", type=COUNT, help="How many edits.  [default: 10, or all indices]")
@click.option("--attribute", metavar="CLASS", help="attribute: the class towards which images are moved.")
@click.option("--against", metavar="CLASS", help="attribute: away from this class.  [default: all others]")
@click.option("--apart-from", metavar="A,B", help="attribute: classes whose directions are left alone.")
@click.option("--examples", metavar="DATASET", help="attribute: labelled images.  [default: those it was trained on]")
@click.option("--fit", type=click.Choice(["logistic", "means"]), help="attribute: the direction.  [default: logistic]")
@click.option("--strengths", metavar="S,T", help="attribute: 1 is from mean to mean.  [default: -1,0,1,2]")
@click.option("--steps", type=COUNT, help="interpolate: images of a way, both ends included.  [default: 8]")
@click.option("--classes", metavar="A,B", help="class: what each image is decoded as.  [default: all of the model]")
@click.option("--style", metavar="DATASET", help="optimise: where the image is whose style is taken.")
@click.option("--style-index", type=COUNT, metavar="NUMBER", help="optimise: its number there.  [default: 0]")
@click.option("--iterations", type=COUNT, help="optimise: gradient steps.  [default: 200]")
@click.option("--step-size", type=float, help="optimise: of a step, in pixels from -1 to 1.  [default: 0.05]")
@click.option("--content-weight", type=float, help="optimise: of the content.  [default: 1]")
@click.option("--style-weight", type=float, help="optimise: of the style.  [default: 10000]")
@click.option("--variation-weight", type=float, help="optimise: of the total variation.  [default: 0.1]")
@click.option("--seed", type=int, help="Of the images that the model makes.  [default: 0]")
@precision_option
@bad_image_option
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Change images in a model's latent space, or pixel by pixel.

    attribute, interpolate and class work with a generator: on images of its own, or with an autoencoder on those of
    a data set. optimise works with a classifier, on images of a data set.
    """
    flags["classes"] = class_names(flags["classes"])
    flags["apart_from"] = class_names(flags["apart_from"], "--apart-from")
    flags["indices"] = numbers(flags["indices"], "--indices", int)
    flags["strengths"] = numbers(flags["strengths"], "--strengths", float)
    submit(workspace, "edit", flags)

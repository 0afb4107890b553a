"""`pixmill submit generate`: make a data set of images."""

from typing import Any

import click

from cli.commands.job.submit.flags import class_names, numbers, submit
from cli.commands.job.submit.options import common_options, precision_option
from cli.context import Workspace, pass_workspace
from cli.params import CLASS_COUNTS, CLASS_WEIGHTS, COUNT, ENCODERS, FORMATS, MODEL, examples


@click.command(
    "generate",
    epilog=examples(
        "pixmill submit generate --model vae-digits --n 10k",
        "pixmill submit generate --model job:12 --n 1M --classes 3,7 --shard-size 5k",
        "pixmill submit generate --model vae-digits --class-counts 3=500,7=2k --truncation 0.8",
        "pixmill submit generate --model vae-digits --model sngan-digits --model-weights 1,3 --n 10k",
        "pixmill submit generate --model vae-digits --n 10k --filter-model cnn-digits --min-confidence 0.9",
    ),
)
@click.option(
    "--model",
    "models",
    type=MODEL,
    multiple=True,
    help="NAME, NAME@VERSION, or job:ID of a train job, which may still run; repeatable, to mix their images.",
)
@click.option("--model-weights", metavar="X,Y", help="How the images are shared among them.  [default: evenly]")
@click.option("-n", "--n", "n", type=COUNT, help="How many images.")
@click.option("--classes", metavar="A,B", help="Only these classes, in turn.  [default: all]")
@click.option("--class-counts", type=CLASS_COUNTS, metavar="A=N,B=M", help="So many images of each of these classes.")
@click.option("--class-weights", type=CLASS_WEIGHTS, metavar="A=X,B=Y", help="These classes, in this proportion.")
@click.option("--truncation", type=float, metavar="SHARE", help="Keep latents so near to their centre.  [default: 1]")
@click.option("--filter-model", metavar="MODEL", help="Trained cnn: keep only images that it takes for their class.")
@click.option("--min-confidence", type=float, metavar="SHARE", help="With this probability.  [default: 0.8]")
@click.option("--reject-duplicates", type=click.Choice(["exact", "near"]), help="No images that there are already.")
@click.option("--max-tries", type=COUNT, help="Candidates of an image, until one is good.  [default: 100]")
@click.option("--on-reject", type=click.Choice(["fail", "best"]), help="When none is.  [default: fail]")
@click.option("--shard-size", type=COUNT, metavar="IMAGES", help="Images in one archive.  [default: 10k]")
@click.option("--seed", type=int, help="Same seed, same images.  [default: 0]")
@precision_option
@click.option("--labels-in-tar", is_flag=True, default=None, help="Write each label into the archive too.")
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    help="Tars, tables, a folder for each class, or blocks of pixels.  [default: webdataset]",
)
@click.option(
    "--encoder",
    type=click.Choice(ENCODERS),
    help="png is quick, png-small and webp are smaller, jpeg loses something.  [default: png]",
)
@common_options
@pass_workspace
def command(workspace: Workspace, /, **flags: Any) -> None:
    """Make a data set of images with a trained model."""
    flags["classes"] = class_names(flags["classes"])
    models = flags.pop("models")
    flags |= {"model": models[0] if models else None, "further_models": list(models[1:])}
    flags["model_weights"] = numbers(flags["model_weights"], "--model-weights", float)
    submit(workspace, "generate", flags)

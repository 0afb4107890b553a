"""`pixmill submit`: ask for a job."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from cli.context import Workspace, pass_workspace, user_name
from cli.joboptions import QUEUEING
from cli.lazy import NamedGroup
from cli.params import (
    BEGIN,
    CLASS_COUNTS,
    CLASS_WEIGHTS,
    COUNT,
    DATASET,
    ENCODERS,
    FORMATS,
    JOB_ID,
    MODEL,
    PAIR,
    PARENT,
    PRESET,
    examples,
    output_option,
    stacked,
)
from pixmill.quantities import scalar

Command = TypeVar("Command", bound=Callable[..., Any])
Number = TypeVar("Number", int, float)

_FROM_FILE = "file"


class SubmitGroup(NamedGroup):
    """Takes `submit -f FILE` without a kind: the file names it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The kinds."""
        return [name for name in super().list_commands(ctx) if name != _FROM_FILE]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the hidden command where the first argument is an option."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = [_FROM_FILE, *args]
        return super().parse_args(ctx, args)


@click.group(
    "submit",
    cls=SubmitGroup,
    epilog=examples(
        "pixmill submit train --model vae --dataset digits --conditional --wait",
        "pixmill submit generate --model vae-digits --n 10k --after 12",
        "pixmill job show 12 --spec | pixmill submit -f - --set width=64",
        "pixmill submit -f night.yaml -f day.yaml",
        "pixmill submit generate --model vae-digits --n 10k --array 0-15%4",
        "pixmill submit train --model vae --dataset digits --sweep learning_rate=1e-4,2e-4 --sweep seed=0..4",
        "pixmill submit ping --wait",
    ),
)
def command() -> None:
    """Ask for a job.

    A job can also stand in a file of YAML, JSON or TOML: `pixmill submit -f job.yaml`. Flags go over what it says;
    name the kind to use its own: `pixmill submit train -f job.yaml --images 1M`. Several files, or several YAML
    documents in one (parted by ---), are added all together or not at all. Counts may be written 10k, 1M or 1_000_000.

    --array and --sweep make an array: many jobs at once, whose seeds differ (seed + index), or what holds {index}, or
    what is swept.
    """


# The options of every kind of job.
common_options = stacked(
    [
        click.option(
            "-f",
            "--file",
            "sources",
            multiple=True,
            metavar="FILE",
            help="YAML, JSON or TOML file, - is stdin; repeatable.",
        ),
        click.option("--name", help="Name of the job; of a train job also that of its model."),
        *QUEUEING,
        click.option(
            "--array", metavar="RANGE", help="A job for each index: 0-15, 1,3,5-9:2; 0-15%4 at most four at once."
        ),
        click.option(
            "--sweep",
            "sweeps",
            multiple=True,
            type=PAIR,
            metavar="KEY=VALUES",
            help="A job for each value: learning_rate=1e-4,2e-4 or seed=0..4; repeatable: for each combination.",
        ),
        click.option("--array-limit", type=click.IntRange(min=1), metavar="N", help="So many of these at once."),
        click.option(
            "--after", multiple=True, type=PARENT, metavar="ID", help="Start when this job, or array:ID, has ended."
        ),
        click.option(
            "--after-policy", type=click.Choice(["ok", "any"]), help="ok: only if it succeeded.  [default: ok]"
        ),
        click.option("--begin", type=BEGIN, metavar="TIME", help="Not before; RFC 3339, or +2h from now."),
        click.option("--key", help="Idempotency key: the same key is the same job."),
        click.option("--wait", is_flag=True, help="Wait for its end; the exit code tells how it ended."),
        click.option("--dry-run", is_flag=True, help="Check and print the spec; add nothing."),
        click.option("-q", "--quiet", is_flag=True, help="Print the job's id and nothing else."),
        output_option("text", "json"),
    ]
)


@command.command(
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
@click.option("--precision", type=click.Choice(["fp32", "bf16", "auto"]), help="Numbers to compute with.")
@click.option("--on-bad-image", type=click.Choice(["fail", "skip"]), help="What an unreadable image means.")
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
def train(workspace: Workspace, /, **flags: Any) -> None:
    """Train a model, and publish it as the next version of its line."""
    flags["options"] = {key: scalar(value) for key, value in flags["options"]}
    _submit(workspace, "train", flags)


@command.command(
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
@click.option("--precision", type=click.Choice(["fp32", "bf16", "auto"]), help="Numbers to compute with.")
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
def generate(workspace: Workspace, /, **flags: Any) -> None:
    """Make a data set of images with a trained model."""
    flags["classes"] = _class_names(flags["classes"])
    models = flags.pop("models")
    flags |= {"model": models[0] if models else None, "further_models": list(models[1:])}
    flags["model_weights"] = _numbers(flags["model_weights"], "--model-weights", float)
    _submit(workspace, "generate", flags)


def _class_names(text: str | None, option: str = "--classes") -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise click.UsageError(f"{option} names no class; write it like {option} 3,7")
    return names


@command.command(
    "animate",
    epilog=examples(
        "pixmill submit animate --model vae-digits -n 10 --frames 60 --stops 5",
        "pixmill submit animate --model predrnn-digits -n 20 --given 10 --frames 20",
    ),
)
@click.option("--model", type=MODEL, help="NAME, NAME@VERSION, or job:ID of a train job, which may still run.")
@click.option("-n", "--n", "n", type=COUNT, help="How many animations.  [default: 10]")
@click.option("--frames", type=COUNT, help="Of a walk in all; of a sequence, those predicted.  [default: 40]")
@click.option("--stops", type=COUNT, help="Latents that a walk comes by, back to the first.  [default: 4]")
@click.option("--given", type=COUNT, metavar="FRAMES", help="Known frames of a sequence.  [default: as in training]")
@click.option("--classes", metavar="A,B", help="Each walk keeps to one of these, in turn.  [default: all]")
@click.option("--frame-milliseconds", type=int, metavar="MS", help="How long a frame is shown.  [default: 100]")
@click.option("--seed", type=int, help="Same seed, same animations.  [default: 0]")
@click.option("--precision", type=click.Choice(["fp32", "bf16", "auto"]), help="Numbers to compute with.")
@common_options
@pass_workspace
def animate(workspace: Workspace, /, **flags: Any) -> None:
    """Make animations, as WebP and GIF, and a data set of their frames.

    A generator walks through its latents; a model of sequences goes on with held-out ones.
    """
    flags["classes"] = _class_names(flags["classes"])
    _submit(workspace, "animate", flags)


@command.command(
    "edit",
    epilog=examples(
        "pixmill submit edit --model vae-digits --dataset digits --way attribute --attribute 3 --against 8",
        "pixmill submit edit --model vae-digits --dataset folder:~/faces --way interpolate --indices 3,7,12,40",
        "pixmill submit edit --model digits --way class --classes 0,1,2 --n 20",
        "pixmill submit edit --model cnn-flowers --way optimise --dataset folder:~/photos --style folder:~/paintings",
    ),
)
@click.option("--model", type=MODEL, help="NAME, NAME@VERSION, or job:ID of a train job, which may still run.")
@click.option(
    "--way",
    type=click.Choice(["attribute", "interpolate", "class", "optimise"]),
    help="Along a direction; from one to another; as another class; in the style of another image.",
)
@click.option(
    "--dataset", type=DATASET, help="What to edit; as of train.  [default: images that the model makes of the seed]"
)
@click.option(
    "--part",
    type=click.Choice(["held-out", "all"]),
    help="Which of its images.  [default: held-out; of a folder or archive that is named, all]",
)
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
@click.option("--precision", type=click.Choice(["fp32", "bf16", "auto"]), help="Numbers to compute with.")
@click.option("--on-bad-image", type=click.Choice(["fail", "skip"]), help="What an unreadable image means.")
@common_options
@pass_workspace
def edit(workspace: Workspace, /, **flags: Any) -> None:
    """Change images in a model's latent space, or pixel by pixel.

    attribute, interpolate and class work with a generator: on images of its own, or with an autoencoder on those of
    a data set. optimise works with a classifier, on images of a data set.
    """
    flags["classes"] = _class_names(flags["classes"])
    flags["apart_from"] = _class_names(flags["apart_from"], "--apart-from")
    flags["indices"] = _numbers(flags["indices"], "--indices", int)
    flags["strengths"] = _numbers(flags["strengths"], "--strengths", float)
    _submit(workspace, "edit", flags)


def _numbers(text: str | None, option: str, kind: type[Number]) -> list[Number] | None:
    if text is None:
        return None
    try:
        return [kind(number) for number in text.split(",")]
    except ValueError:
        raise click.UsageError(f"{option} are numbers, parted by commas; got {text!r}") from None


@command.command(
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
@click.option("--on-bad-image", type=click.Choice(["fail", "skip"]), help="What an unreadable image means.")
@common_options
@pass_workspace
def evaluate(workspace: Workspace, /, **flags: Any) -> None:
    """Judge generated images against real ones."""
    _submit(workspace, "evaluate", flags)


@command.command(
    "gate",
    epilog=examples(
        "pixmill submit gate --model digits@7 --against digits@champion --wait",
        "pixmill submit gate --model digits --against digits@champion --gates gates.yaml --seeds 5",
        "pixmill submit gate --model digits@1",
    ),
)
@click.option("--model", type=MODEL, help="The challenger: NAME, NAME@VERSION, NAME@ALIAS, or job:ID of a train job.")
@click.option(
    "--against", type=MODEL, metavar="MODEL", help="The champion.  [default: there is none; limits alone decide]"
)
@click.option(
    "--dataset", type=DATASET, help="Real images to measure with.  [default: what the challenger was trained on]"
)
@click.option("--gates", "gates_file", metavar="FILE", help="YAML, JSON or TOML: gates, and primary.")
@click.option("--primary", metavar="MEASURE", help="In which the challenger must be no worse.  [default: kid]")
@click.option("--images", type=COUNT, help="Images of each model and seed.  [default: 2k]")
@click.option("--seeds", type=int, metavar="N", help="Over which intervals are taken; 2 to 20.  [default: 3]")
@click.option("--seed", type=int, help="The first of them.  [default: 0]")
@click.option("--on-bad-image", type=click.Choice(["fail", "skip"]), help="What an unreadable image means.")
@common_options
@pass_workspace
def gate(workspace: Workspace, /, **flags: Any) -> None:
    """Judge whether a model may take another one's place: PROMOTE, HOLD or REJECT.

    Both are measured by one job, on the same data, with the same seeds. Nothing is promoted by it.
    """
    from client.documents import read_gates

    file = flags.pop("gates_file")
    if file is not None:
        flags |= {key: value for key, value in read_gates(file).items() if flags.get(key) is None}
    _submit(workspace, "gate", flags)


@command.command(
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
@click.option(
    "--part",
    type=click.Choice(["held-out", "all"]),
    help="Which of its images.  [default: held-out; of a folder or archive that is named, all]",
)
@click.option("-n", "--n", "n", type=COUNT, help="How many of them at most, from the first on.  [default: 1k]")
@click.option("--on-bad-image", type=click.Choice(["fail", "skip"]), help="What an unreadable image means.")
@common_options
@pass_workspace
def compress(workspace: Workspace, /, **flags: Any) -> None:
    """Write images as small files, and measure what is lost beside PNG and WebP."""
    _submit(workspace, "compress", flags)


@command.command(
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
def decompress(workspace: Workspace, /, **flags: Any) -> None:
    """Make PNG images of compressed ones, and compare them with what was recorded."""
    _submit(workspace, "decompress", flags)


@command.command(
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
@click.option("--precision", type=click.Choice(["fp32", "bf16", "auto"]), help="Numbers to compute with.")
@common_options
@pass_workspace
def restore(workspace: Workspace, /, **flags: Any) -> None:
    """Make whole images of damaged ones: without noise, with holes filled, sharper, larger, as the model has learnt.

    Files of a folder keep their size, whatever the model's: larger ones are restored in tiles that overlap.
    """
    _submit(workspace, "restore", flags)


@command.command("ping", epilog=examples("pixmill submit ping --wait", "pixmill submit ping --device cuda --wait"))
@common_options
@pass_workspace
def ping(workspace: Workspace, /, **flags: Any) -> None:
    """Send a job that does no work through the whole line, to see that it reaches a worker and comes back."""
    _submit(workspace, "ping", flags)


@command.command(_FROM_FILE, hidden=True, epilog=examples("pixmill submit -f job.yaml"))
@click.option("--set", "options", multiple=True, type=PAIR, help="Option of a train job's preset; repeatable.")
@click.option("--seed", type=int, help="Seed.")
@common_options
@pass_workspace
def from_file(workspace: Workspace, /, **flags: Any) -> None:
    """Ask for the jobs that files describe."""
    if not flags["sources"]:
        raise click.UsageError(
            "say what to do: train, generate, animate, edit, evaluate, gate, compress, decompress, restore or ping, "
            "or name a file with -f"
        )
    flags["options"] = {key: scalar(value) for key, value in flags["options"]}
    _submit(workspace, None, flags)


def _submit(workspace: Workspace, kind: str | None, flags: dict[str, Any]) -> None:
    from cli.submitting import Presentation, submit_documents

    shown = Presentation(
        wait=flags.pop("wait"),
        dry_run=flags.pop("dry_run"),
        quiet=flags.pop("quiet"),
        as_json=flags.pop("output_format") == "json",
    )
    sources = flags.pop("sources")
    flags["labels"] = dict(flags["labels"])
    flags["after"] = list(flags["after"])
    flags["sweep"] = _sweep(flags.pop("sweeps"))
    submit_documents(workspace, kind, sources, flags, shown, user=user_name())


def _sweep(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    twice = next((key for place, (key, _values) in enumerate(pairs) if key in dict(pairs[:place])), None)
    if twice is not None:
        raise click.UsageError(f"--sweep {twice} is given twice; give all its values at once, parted by commas")
    return dict(pairs)

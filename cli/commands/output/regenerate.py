"""`pixmill output regenerate`: make images of a data set once more, and compare their hashes."""

import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from cli.context import Workspace
from cli.output import print_item, say
from cli.params import COUNT, JOB_ID, examples, output_option
from client.outputs import Output, find_output
from client.regenerating import Regenerated, made_again
from client.wording import plural
from pixmill.homes import expanded

MOST_SAMPLES = 10_000  # what is made is held in memory
_NOT_TOLD = ("is_same", "file")


@click.command(
    "regenerate",
    epilog=examples(
        "pixmill output regenerate 13 --index 123456 --to image.png",
        "pixmill output regenerate 13 --sample 100",
    ),
)
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option("--index", "indexes", multiple=True, type=click.IntRange(min=0), help="Number of an image; repeatable.")
@click.option("--sample", type=COUNT, metavar="IMAGES", help="So many images drawn at random.")
@click.option(
    "--to",
    "target",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the image, of a single --index, as it was stored; of format raw as PNG.",
)
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, or cuda:0, cuda:1 and so on.")
@output_option("text", "json")
@click.pass_context
def command(
    ctx: click.Context,
    job_id: int,
    indexes: tuple[int, ...],
    sample: int | None,
    target: Path | None,
    device: str,
    output_format: str,
) -> None:
    """Make images of a data set once more, from model, seed and number, and compare them with their hashes.

    rc 1 if one is not the same. Images that a GPU has made come out the same on such a GPU, not on a CPU; and a
    worker that ran short of memory made them in smaller batches, which may move a pixel. Where another version of an
    encoder without loss wrote the files, their pixels are compared.
    """
    if bool(indexes) == (sample is not None):
        raise click.UsageError("name images with --index, or have some drawn with --sample", ctx)
    if target is not None and len(indexes) != 1:
        raise click.UsageError("--to takes one image: name one --index", ctx)
    workspace = ctx.ensure_object(Workspace)
    output = find_output(workspace, job_id).require_dataset()
    made = made_again(output, indexes or _drawn(output, sample or 0), device)
    if target is not None and made[0].file is not None:
        _write(expanded(target).absolute(), made[0].file)
    differing = [one for one in made if not one.is_same]
    _print(job_id, len(made), differing, output_format)
    if differing:
        ctx.exit(1)


def _drawn(output: Output, sample: int) -> list[int]:
    total = sum(record.count for record in output.shards)
    return sorted(random.sample(range(total), min(sample, total, MOST_SAMPLES)))


def _write(target: Path, content: bytes) -> None:
    from storage.atomic import write_atomic

    write_atomic(target, content)
    say(f"wrote {target}")


def _print(job_id: int, images: int, differing: Sequence[Regenerated], output_format: str) -> None:
    if output_format == "json":
        told = [{key: value for key, value in asdict(one).items() if key not in _NOT_TOLD} for one in differing]
        print_item("regeneration", {"job_id": job_id, "images": images, "differing": told})
        return
    for one in differing:
        text = f"image {one.index}: SHA-256 {one.sha256}, recorded {one.recorded_sha256}"
        if one.version != one.recorded_version:
            text += f" by {one.encoder} {one.recorded_version}; this is {one.version}"
        click.echo(text)
    same = "all the same" if not differing else f"{len(differing)} of them differ"
    say(f"output {job_id}: {plural(images, 'image')} made again, {same}")

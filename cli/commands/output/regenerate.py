"""`pixmill output regenerate`: make images of a data set once more, and compare their hashes."""

import base64
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace
from cli.formatting import plural
from cli.output import print_item, say
from cli.outputs import Output, read_dataset
from cli.params import COUNT, JOB_ID, examples, output_option
from pixmill.errors import NotFound

if TYPE_CHECKING:
    from storage.manifest import ShardRow
    from storage.records import ShardRecord

MOST_SAMPLES = 10_000  # what is made is held in memory


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
    worker that ran short of memory made them in smaller batches, which may move a pixel.
    """
    if bool(indexes) == (sample is not None):
        raise click.UsageError("name images with --index, or have some drawn with --sample", ctx)
    if target is not None and len(indexes) != 1:
        raise click.UsageError("--to takes one image: name one --index", ctx)
    workspace = ctx.ensure_object(Workspace)
    output, records = read_dataset(workspace, job_id)
    rows = _rows(output, records, indexes or _drawn(records, sample or 0))
    result = _made_again(workspace, output, rows, device)
    if target is not None:
        _write(target.expanduser().absolute(), base64.b64decode(result["file"]))
    differing = [image for image, (row, _encoder) in zip(result["images"], rows, strict=True) if _differs(image, row)]
    _print(job_id, rows, differing, output_format)
    if differing:
        ctx.exit(1)


def _drawn(records: "Sequence[ShardRecord]", sample: int) -> list[int]:
    total = sum(record.count for record in records)
    return sorted(random.sample(range(total), min(sample, total, MOST_SAMPLES)))


def _rows(output: Output, records: "Sequence[ShardRecord]", indexes: Sequence[int]) -> "list[tuple[ShardRow, str]]":
    """The rows of images, and the encoders of their files.  Raises NotFound."""
    from storage.shards import read_marker, read_rows

    found: dict[int, tuple[ShardRow, str]] = {}
    wanted = set(indexes)
    for record in records:
        here = wanted & set(range(record.first_index, record.first_index + record.count))
        if here:
            encoder = read_marker(output.folder, record.number).encoder
            rows = read_rows(output.folder, record.number)
            found |= {index: (rows[index - record.first_index], encoder) for index in here}
    unknown = next((index for index in indexes if index not in found), None)
    if unknown is not None:
        total = sum(record.count for record in records)
        raise NotFound(f"output {output.job.id} has no image {unknown}", hint=f"its images are 0 to {total - 1:,}")
    return [found[index] for index in indexes]


def _made_again(
    workspace: Workspace, output: Output, rows: "Sequence[tuple[ShardRow, str]]", device: str
) -> dict[str, Any]:
    from worker.parent.regenerating import regeneration, run_regeneration

    images = [{"index": row.index, "encoder": encoder} for row, encoder in rows]
    with workspace.database.read() as session:
        assignment = regeneration(session, output.job, workspace.settings, images)
    return run_regeneration(assignment, device)


def _differs(image: dict[str, Any], row: "ShardRow") -> bool:
    return bool(image["sha256"] != row.sha256.hex())


def _write(target: Path, content: bytes) -> None:
    from storage.atomic import write_atomic

    write_atomic(target, content)
    say(f"wrote {target}")


def _print(
    job_id: int, rows: "Sequence[tuple[ShardRow, str]]", differing: Sequence[dict[str, Any]], output_format: str
) -> None:
    recorded = {row.index: row.sha256.hex() for row, _encoder in rows}
    if output_format == "json":
        facts = [{**image, "recorded_sha256": recorded[image["index"]]} for image in differing]
        print_item("regeneration", {"job_id": job_id, "images": len(rows), "differing": facts})
        return
    for image in differing:
        click.echo(f"image {image['index']}: SHA-256 {image['sha256']}, recorded {recorded[image['index']]}")
    same = "all the same" if not differing else f"{len(differing)} of them differ"
    say(f"output {job_id}: {plural(len(rows), 'image')} made again, {same}")

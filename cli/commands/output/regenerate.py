"""`pixmill output regenerate`: make images of a data set once more, and compare their hashes."""

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace
from cli.output import print_item, say
from cli.params import COUNT, JOB_ID, examples, output_option
from client.outputs import Output, read_dataset
from client.wording import plural
from pixmill.errors import NotFound

if TYPE_CHECKING:
    from storage.manifest import ShardRow
    from storage.markers import ShardMarker
    from storage.places import Place
    from storage.records import ShardRecord

MOST_SAMPLES = 10_000  # what is made is held in memory


@dataclass(frozen=True)
class Stored:
    """One image as it lies there."""

    row: "ShardRow"
    marker: "ShardMarker"  # of its shard


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
    output, records = read_dataset(workspace, job_id)
    stored = _stored(output, records, indexes or _drawn(records, sample or 0))
    result = _made_again(workspace, output, stored, device)
    if target is not None:
        _write(target.expanduser().absolute(), base64.b64decode(result["file"]))
    both = zip(result["images"], stored, strict=True)
    differing = [_difference(made, one) for made, one in both if _differs(made, one, output.place)]
    _print(job_id, len(stored), differing, output_format)
    if differing:
        ctx.exit(1)


def _drawn(records: "Sequence[ShardRecord]", sample: int) -> list[int]:
    total = sum(record.count for record in records)
    return sorted(random.sample(range(total), min(sample, total, MOST_SAMPLES)))


def _stored(output: Output, records: "Sequence[ShardRecord]", indexes: Sequence[int]) -> list[Stored]:
    """The images of these numbers.  Raises NotFound."""
    from storage.shards import read_marker, read_rows

    found: dict[int, Stored] = {}
    wanted = set(indexes)
    for record in records:
        here = wanted & set(range(record.first_index, record.first_index + record.count))
        if here:
            marker = read_marker(output.place, record.number)
            rows = read_rows(output.place, record.number)
            found |= {index: Stored(rows[index - record.first_index], marker) for index in here}
    unknown = next((index for index in indexes if index not in found), None)
    if unknown is not None:
        total = sum(record.count for record in records)
        raise NotFound(f"output {output.job.id} has no image {unknown}", hint=f"its images are 0 to {total - 1:,}")
    return [found[index] for index in indexes]


def _made_again(workspace: Workspace, output: Output, stored: Sequence[Stored], device: str) -> dict[str, Any]:
    from worker.parent.regenerating import regeneration, run_regeneration

    images = [{"index": one.row.index, "encoder": one.marker.encoder} for one in stored]
    with workspace.database.read() as session:
        assignment = regeneration(session, output.job, workspace.settings, images)
    return run_regeneration(assignment, device)


def _differs(made: dict[str, Any], stored: Stored, place: "Place") -> bool:
    if made["sha256"] == stored.row.sha256.hex():
        return False
    return not _is_recoded(stored) or _pixels_sha256(stored, place) != made["pixels_sha256"]


def _is_recoded(stored: Stored) -> bool:
    """Whether other bytes may be the same image: another version of the encoder wrote the file."""
    from storage.encoders import LOSSY_ENDINGS

    marker = stored.marker
    return marker.record.ending not in LOSSY_ENDINGS and marker.encoder_version != _version_here(marker.encoder)


def _version_here(encoder: str) -> str | None:
    from storage.encoders import recorded_encoder

    found = recorded_encoder(encoder)
    return found.version if found else None


def _pixels_sha256(stored: Stored, place: "Place") -> str:
    from storage.filesets import pixels_digest
    from storage.shards import read_images

    record = stored.marker.record
    images, _labels = read_images(place, record.number, start=stored.row.index - record.first_index, count=1)
    return pixels_digest(images[0])


def _difference(made: dict[str, Any], stored: Stored) -> dict[str, Any]:
    marker, here = stored.marker, _version_here(stored.marker.encoder)
    recorded = {"recorded_sha256": stored.row.sha256.hex(), "encoder": marker.encoder}
    return {**made, **recorded, "recorded_version": marker.encoder_version, "version": here}


def _write(target: Path, content: bytes) -> None:
    from storage.atomic import write_atomic

    write_atomic(target, content)
    say(f"wrote {target}")


def _print(job_id: int, images: int, differing: Sequence[dict[str, Any]], output_format: str) -> None:
    if output_format == "json":
        print_item("regeneration", {"job_id": job_id, "images": images, "differing": differing})
        return
    for one in differing:
        text = f"image {one['index']}: SHA-256 {one['sha256']}, recorded {one['recorded_sha256']}"
        if one["version"] != one["recorded_version"]:
            text += f" by {one['encoder']} {one['recorded_version']}; this is {one['version']}"
        click.echo(text)
    same = "all the same" if not differing else f"{len(differing)} of them differ"
    say(f"output {job_id}: {plural(images, 'image')} made again, {same}")

"""`pixmill output export`: copies for other programs, and other places."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace
from cli.output import print_item, say
from cli.outputs import counting
from cli.params import ENCODERS, FORMATS, JOB_ID, examples, output_option
from client.outputs import Output, find_output
from client.wording import plural, size
from pixmill.errors import UserError
from pixmill.homes import expanded

if TYPE_CHECKING:
    from storage.exporting import Wanted
    from storage.records import ShardRecord


@click.command(
    "export",
    epilog=examples(
        "pixmill output export 13 --to ~/cats --format parquet",
        "pixmill output export 13 --to ~/cats --format files --encoder webp",
        "pixmill output export 14 --to ~/compressed",
    ),
)
@click.argument("job_id", metavar="ID", type=JOB_ID)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write; made when it is not there.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="Of a data set: what the images are to lie in.  [default: what they lie in]",
)
@click.option(
    "--encoder",
    type=click.Choice(ENCODERS),
    help="Make new image files.  [default: those that are there, of raw png]",
)
@click.option("--labels-in-tar", is_flag=True, help="Of webdataset: write each label into the archive too.")
@output_option("text", "json")
@pass_workspace
def command(workspace: Workspace, /, job_id: int, target: Path, output_format: str, **flags: Any) -> None:
    """Copy what a job has made into a folder, each image checked by its hash.

    A data set is written anew, in another format if one is named, with tables, markers and hashes of its own. Of a
    restore job on a folder, without --format, the images under the names of the given ones; of a compress or
    decompress job the files, with their manifest.
    """
    output = find_output(workspace, job_id)
    shards = output.shards
    target = expanded(target).absolute()
    if output.has_files or (output.kind == "restore" and flags["format_name"] is None):
        _refuse_format(output, flags)
        facts = _export_files(output, target) if output.has_files else _export_restored(output, shards, target)
    else:
        facts = _export_dataset(output, shards, target, flags)
    if output_format == "json":
        print_item("export", {"job_id": job_id, "folder": str(target), **facts})
        return
    what = "image" if "format" in facts else "file"
    form = f" as {facts['format']}" if "format" in facts else ""
    written = f"{plural(facts['images'], what)} ({size(facts['size_bytes'])}){form}"
    say(f"exported {written} to {target}, all hashes right")


def _refuse_format(output: Output, flags: dict[str, Any]) -> None:
    if any(flags.values()):
        raise UserError(
            f"what {output.kind} job {output.job_id} has made is copied as it is",
            hint="leave out --encoder and --labels-in-tar, or name a --format"
            if output.kind == "restore"
            else "leave out --format, --encoder and --labels-in-tar",
        )


def _export_dataset(
    output: Output, shards: "Sequence[ShardRecord]", target: Path, flags: dict[str, Any]
) -> dict[str, Any]:
    from storage.exporting import export_dataset

    wanted = _wanted(shards, **flags)
    with counting(f"exporting output {output.job_id}") as progress:
        index = export_dataset(output.place, shards, target, wanted, progress)
    size_bytes = sum(record.tar_bytes + record.parquet_bytes for record in index.shards)
    return {
        "format": wanted.format_name,
        "images": index.images,
        "size_bytes": size_bytes,
        "lossy": bool(index.details.get("lossy")),
    }


def _wanted(
    shards: "Sequence[ShardRecord]", format_name: str | None, encoder: str | None, labels_in_tar: bool
) -> "Wanted":
    from storage.encoders import find_encoder
    from storage.exporting import Wanted

    format_name = format_name or shards[0].format
    if format_name == "raw" and encoder is not None:
        raise UserError(f"format raw holds pixels, not files; encoder {encoder} was named", hint="leave it out")
    if format_name != "webdataset" and labels_in_tar:
        raise UserError(f"there is no tar in format {format_name}", hint="leave out --labels-in-tar")
    made = None if encoder is None else find_encoder(encoder)
    return Wanted(format_name=format_name, encoder=made, label_files=labels_in_tar)


def _export_files(output: Output, target: Path) -> dict[str, Any]:
    from storage.filesets import export

    with counting(f"exporting output {output.job_id}") as progress:
        files = export(Path(output.manifest_file), target, progress)
    return {"images": len(files.images), "sha256": files.digest, "size_bytes": files.size_bytes}


def _export_restored(output: Output, shards: "Sequence[ShardRecord]", target: Path) -> dict[str, Any]:
    from storage.restored import export_restored

    with counting(f"exporting output {output.job_id}") as progress:
        images, size_bytes = export_restored(output.place, shards, target, progress)
    return {"images": images, "size_bytes": size_bytes}

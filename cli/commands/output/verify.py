"""`pixmill output verify`: prove that the files are the ones that were recorded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace
from cli.output import print_item, say
from cli.outputs import counting
from cli.params import JOB_ID, examples, output_option
from client.outputs import find_output
from client.wording import plural
from pixmill.homes import expanded
from pixmill.states import State

if TYPE_CHECKING:
    from storage.outputs import VerifyReport


@click.command(
    "verify",
    epilog=examples("pixmill output verify 13", "pixmill output verify --all", "pixmill output verify --folder ~/cats"),
)
@click.argument("job_id", metavar="ID", type=JOB_ID, required=False)
@click.option("--all", "everything", is_flag=True, help="Every complete output.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="A data set that `output export` wrote, or a copy of one in a bucket; its dataset.json is believed.",
)
@output_option("text", "json")
@click.pass_context
def command(ctx: click.Context, job_id: int | None, everything: bool, folder: Path | None, output_format: str) -> None:
    """Prove that the files are the ones that were recorded: hashes, tables, and that every image decodes.

    Compressed files are compared with their hashes; what they decode to is compared by `submit decompress`.

    Prints one line a problem; rc 1 if there is one.
    """
    if (job_id is not None) + everything + (folder is not None) != 1:
        raise click.UsageError("name one job, or --all, or --folder", ctx)
    reports = _folder_report(folder) if folder else _job_reports(ctx.ensure_object(Workspace), job_id)
    if output_format == "json":
        print_item("verification", {"outputs": [_report_json(one, found) for one, found in reports.items()]})
    else:
        _print_reports(reports)
    if any(not found.is_intact for found in reports.values()):
        ctx.exit(1)


def _folder_report(folder: Path) -> "dict[int | Path, VerifyReport]":
    from storage.outputs import read_dataset_index, verify_output
    from storage.places import CopiedDataset, Place

    folder = expanded(folder).absolute()
    index = read_dataset_index(folder)
    below = {record.number: where for record, where in zip(index.shards, index.folders, strict=False)}
    place: Place = CopiedDataset(folder, below) if below else folder
    with counting(f"verifying {folder}") as progress:
        return {folder: verify_output(place, index.shards, progress)}


def _job_reports(workspace: Workspace, job_id: int | None) -> "dict[int | Path, VerifyReport]":
    chosen = _all_jobs(workspace) if job_id is None else [job_id]
    return {one: _verify(workspace, one) for one in chosen}


def _all_jobs(workspace: Workspace) -> Sequence[int]:
    from db.views import list_outputs

    with workspace.database.read() as session:
        return [line.job.id for line in list_outputs(session) if line.job.state is State.SUCCEEDED]


def _verify(workspace: Workspace, job_id: int) -> "VerifyReport":
    output = find_output(workspace, job_id)
    with counting(f"verifying output {job_id}") as progress:
        return output.verify(progress)


def _print_reports(reports: "Mapping[int | Path, VerifyReport]") -> None:
    for one, found in reports.items():
        for problem in found.problems:
            click.echo(f"output {one}: {problem}")
        shards = f" in {plural(found.shards, 'shard')}" if found.shards else ""
        checked = f"{plural(found.images, 'image')}{shards}"
        verdict = "intact" if found.is_intact else plural(len(found.problems), "problem")
        say(f"output {one}: {checked}: {verdict}")
    if not reports:
        say("no complete output to verify")


def _report_json(one: int | Path, found: "VerifyReport") -> dict[str, Any]:
    return {
        **({"job_id": one} if isinstance(one, int) else {"folder": str(one)}),
        "images": found.images,
        "shards": found.shards,
        "intact": found.is_intact,
        "problems": list(found.problems),
    }

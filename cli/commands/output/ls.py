"""`pixmill output ls`: what jobs have made."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace
from cli.output import Column, print_list, print_table
from cli.params import examples, output_option
from client.jobs import model_of
from client.outputs import line_folder
from client.wording import count, size

if TYPE_CHECKING:
    from db.views import OutputLine

COLUMNS = [
    Column(title="JOB", align="right"),
    Column(title="NAME", shrinks=True),
    Column(title="MODEL", shrinks=True, dropped=1),
    Column(title="STATE"),
    Column(title="IMAGES", align="right"),
    Column(title="SHARDS", align="right", dropped=2),
    Column(title="SIZE", align="right"),
    Column(title="FOLDER"),
]


@click.command("ls", epilog=examples("pixmill output ls", "pixmill output ls -o json"))
@output_option("table", "json", "ids")
@pass_workspace
def command(workspace: Workspace, output_format: str) -> None:
    """List what generate, animate, edit, restore, compress and decompress jobs have made; complete at their success.

    FOLDER lies below the storage root (`pixmill config show`), or is the URL of one in a bucket.
    """
    from db.views import list_outputs

    with workspace.database.read() as session:
        lines = list_outputs(session)
    if output_format == "json":
        print_list("output_list", [_json(workspace, line) for line in lines])
    elif output_format == "ids":
        for line in lines:
            click.echo(str(line.job.id))
    else:
        print_table(
            COLUMNS, [_row(workspace, line) for line in lines], empty="no images yet: pixmill submit generate --help"
        )


def _row(workspace: Workspace, line: "OutputLine") -> list[str]:
    job = line.job
    folder = line_folder(line, workspace.layout)
    return [
        str(job.id),
        job.name,
        model_of(job.spec) or "–",
        job.state.value,
        count(line.images),
        str(line.shards or "–"),
        size(line.size_bytes),
        workspace.layout.relative(folder) if isinstance(folder, Path) else folder or "–",
    ]


def _json(workspace: Workspace, line: "OutputLine") -> dict[str, Any]:
    job = line.job
    folder = line_folder(line, workspace.layout)
    return {
        "job_id": job.id,
        "kind": job.kind,
        "name": job.name,
        "model": model_of(job.spec),
        "state": job.state.value,
        "images": line.images,
        "images_planned": job.progress_total,
        "shards": line.shards,
        "size_bytes": line.size_bytes,
        "folder": None if folder is None else str(folder),
    }

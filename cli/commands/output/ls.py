"""`pixmill output ls`: what jobs have made."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import Workspace, pass_workspace
from cli.listing import Listing, Shape, Telling, listing_options, print_listing
from cli.output import Column
from cli.params import examples
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
LISTING = Listing(schema="output_list", columns=COLUMNS)


@click.command("ls", epilog=examples("pixmill output ls", "pixmill output ls -o json"))
@listing_options(LISTING)
@pass_workspace
def command(workspace: Workspace, shape: Shape) -> None:
    """List what generate, animate, edit, restore, compress and decompress jobs have made; complete at their success.

    FOLDER lies below the storage root (`pixmill config show`), or is the URL of one in a bucket.
    """
    from db.views import list_outputs

    with workspace.database.read() as session:
        lines = list_outputs(session)
    telling: Telling[OutputLine] = Telling(
        to_json=lambda line: _json(workspace, line),
        row=lambda line: _row(workspace, line),
        ident=lambda line: line.job.id,
    )
    print_listing(LISTING, shape, lines, telling, empty="no images yet: pixmill submit generate --help")


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

"""`pixmill model ls`: the versions of all models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.context import Workspace, pass_workspace
from cli.listing import Listing, Shape, listing_options
from cli.modelversions import origin_cells, print_versions, quality_cells
from cli.output import Column
from cli.params import MODEL_NAME, examples
from client.models import read_versions

if TYPE_CHECKING:
    from datetime import datetime

    from db.tables.models import ModelVersion

COLUMNS = [
    Column(title="MODEL", shrinks=True),
    Column(title="ALIASES", shrinks=True),
    Column(title="PRESET"),
    Column(title="DATASET", shrinks=True, dropped=1),
    Column(title="SHAPE"),
    Column(title="CLASSES", align="right", dropped=2),
    Column(title="IMAGES", align="right"),
    Column(title="METRIC", shrinks=True, dropped=3),
    Column(title="VALUE", align="right"),
    Column(title="JOB", align="right"),
    Column(title="AGE", align="right"),
]
LISTING = Listing(schema="model_list", columns=COLUMNS)


@click.command("ls", epilog=examples("pixmill model ls", "pixmill model ls --name vae-digits -o json"))
@click.option("--name", type=MODEL_NAME, help="Only the versions of this model.")
@listing_options(LISTING)
@pass_workspace
def command(workspace: Workspace, name: str | None, shape: Shape) -> None:
    """List the versions of all models, the newest of each first; `-o ids` prints their names.

    VALUE is the model's own measure of quality, named in METRIC: less is better, but of `accuracy` and `psnr` more.
    """
    with workspace.database.read() as session:
        versions = read_versions(session, name)
    empty = f"no model is called {name!r}" if name else "no model is trained yet: pixmill submit train --help"
    print_versions(LISTING, shape, versions, _row, empty=empty)


def _row(version: "ModelVersion", aliases: Sequence[str], at: "datetime") -> list[str]:
    return [
        version.reference,
        ", ".join(aliases) or "–",
        version.preset,
        version.dataset.name,
        f"{version.image_size}×{version.image_size}×{version.channels}",
        str(len(version.classes) or "–"),
        *quality_cells(version),
        *origin_cells(version, at),
    ]

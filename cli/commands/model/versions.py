"""`pixmill model versions`: the versions of one model, with what each was made from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.context import Workspace, pass_workspace
from cli.listing import Listing, Shape, listing_options
from cli.modelversions import origin_cells, print_versions, quality_cells
from cli.output import Column, say
from cli.params import MODEL_NAME, examples
from client.models import read_versions

if TYPE_CHECKING:
    from datetime import datetime

    from db.tables.models import ModelVersion

COLUMNS = [
    Column(title="VERSION", align="right"),
    Column(title="ALIASES", shrinks=True),
    Column(title="IMAGES", align="right"),
    Column(title="METRIC", shrinks=True, dropped=2),
    Column(title="VALUE", align="right"),
    Column(title="SEED", align="right", dropped=3),
    Column(title="DATA", dropped=1),
    Column(title="SPEC", dropped=4),
    Column(title="CODE", dropped=4),
    Column(title="DEVICE", dropped=3),
    Column(title="JOB", align="right"),
    Column(title="AGE", align="right"),
]
LISTING = Listing(schema="model_list", columns=COLUMNS)
DIGITS = 12  # of a hash


@click.command(
    "versions", epilog=examples("pixmill model versions digits", "pixmill model versions digits --all -o json")
)
@click.argument("name", type=MODEL_NAME)
@click.option("--all", "removed", is_flag=True, help="Those that were removed, too.")
@listing_options(LISTING)
@pass_workspace
def command(workspace: Workspace, name: str, removed: bool, shape: Shape) -> None:
    """List the versions of one model, the newest first, with what each was made from.

    DATA, SPEC and CODE are the first digits of hashes: equal digits, equal data, spec or source.
    """
    from db.aliases import frozen_text
    from db.registry import get_model

    with workspace.database.read() as session:
        model = get_model(session, name)
        versions = read_versions(session, name, removed=removed)
    print_versions(LISTING, shape, versions, _row, empty=f"all versions of {name} were removed")
    if model.frozen and shape.is_table:
        say(frozen_text(model))


def _row(version: "ModelVersion", aliases: Sequence[str], at: "datetime") -> list[str]:
    lineage = version.lineage
    return [
        str(version.version),
        "(removed)" if version.removed_at else ", ".join(aliases) or "–",
        *quality_cells(version),
        str(lineage.get("seed", "–")),
        version.dataset.fingerprint[:DIGITS],
        *(str(lineage.get(key) or "–")[:DIGITS] for key in ("spec_digest", "code_sha256")),
        str(lineage.get("device", "–")),
        *origin_cells(version, at),
    ]

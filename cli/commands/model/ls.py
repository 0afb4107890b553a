"""`pixmill model ls`: the versions of all models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.context import Workspace, pass_workspace
from cli.formatting import age, count
from cli.output import Column, print_list, print_table
from cli.params import examples, output_option

if TYPE_CHECKING:
    from datetime import datetime

    from db.tables import ModelVersion

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


@click.command("ls", epilog=examples("pixmill model ls", "pixmill model ls --name vae-digits -o json"))
@click.option("--name", help="Only the versions of this model.")
@output_option("table", "json", "ids")
@pass_workspace
def command(workspace: Workspace, name: str | None, output_format: str) -> None:
    """List the versions of all models, the newest of each first; `-o ids` prints their names.

    VALUE is the model's own measure of quality, named in METRIC: less is better, but of `accuracy` and `psnr` more.
    """
    from cli.modelfacts import version_json
    from db.aliases import aliases_by_version
    from db.registry import list_versions
    from db.workers import database_time

    with workspace.database.read() as session:
        aliases = aliases_by_version(session)
        versions = [(row, aliases.get((row.model_id, row.version), [])) for row in list_versions(session, name)]
        at = database_time(session)
    if output_format == "json":
        print_list("model_list", [version_json(*pair) for pair in versions])
    elif output_format == "ids":
        for version, _aliases in versions:
            click.echo(version.reference)
    else:
        empty = f"no model is called {name!r}" if name else "no model is trained yet: pixmill submit train --help"
        print_table(COLUMNS, [_row(*pair, at) for pair in versions], empty=empty)


def _row(version: "ModelVersion", aliases: Sequence[str], at: "datetime") -> list[str]:
    return [
        version.reference,
        ", ".join(aliases) or "–",
        version.preset,
        version.dataset.name,
        f"{version.image_size}×{version.image_size}×{version.channels}",
        str(len(version.classes) or "–"),
        count(version.images_seen),
        version.metric_name or "–",
        "–" if version.metric_value is None else f"{version.metric_value:.4g}",
        str(version.job_id),
        age(version.created_at, at),
    ]

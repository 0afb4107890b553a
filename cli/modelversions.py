"""Versions of models with their aliases, as `model ls` and `model versions` list them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli.output import Column, print_list, print_table
from client.models import Versions
from client.wording import age, count

if TYPE_CHECKING:
    from db.tables import ModelVersion


def print_versions(
    versions: Versions,
    output_format: str,
    columns: Sequence[Column],
    row: "Callable[[ModelVersion, Sequence[str], datetime], list[str]]",
    *,
    empty: str,
) -> None:
    """Print them as a table, as JSON, or as names."""
    from client.models import version_json

    if output_format == "json":
        print_list("model_list", [version_json(*pair) for pair in versions.found])
    elif output_format == "ids":
        for version, _aliases in versions.found:
            click.echo(version.reference)
    else:
        print_table(columns, [row(*pair, versions.at) for pair in versions.found], empty=empty)


def quality_cells(version: "ModelVersion") -> list[str]:
    """The cells IMAGES, METRIC and VALUE."""
    value = "–" if version.metric_value is None else f"{version.metric_value:.4g}"
    return [count(version.images_seen), version.metric_name or "–", value]


def origin_cells(version: "ModelVersion", at: datetime) -> list[str]:
    """The cells JOB and AGE."""
    return [str(version.job_id), age(version.created_at, at)]

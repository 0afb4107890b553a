"""Versions of models with their aliases, as `model ls` and `model versions` list them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli.formatting import age, count
from cli.output import Column, print_list, print_table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables import ModelVersion


@dataclass(frozen=True)
class Versions:
    """Versions, each with its aliases, as they are at a moment."""

    found: Sequence[tuple["ModelVersion", Sequence[str]]]
    at: datetime


def read_versions(session: "Session", name: str | None, *, removed: bool = False) -> Versions:
    """The versions of one model or of all, the newest of each first; those that were removed too, if wanted."""
    from db.aliases import aliases_by_version
    from db.registry import list_versions
    from db.workers import database_time

    aliases = aliases_by_version(session)
    rows = list_versions(session, name, removed=removed)
    return Versions([(row, aliases.get((row.model_id, row.version), [])) for row in rows], database_time(session))


def print_versions(
    versions: Versions,
    output_format: str,
    columns: Sequence[Column],
    row: "Callable[[ModelVersion, Sequence[str], datetime], list[str]]",
    *,
    empty: str,
) -> None:
    """Print them as a table, as JSON, or as names."""
    from cli.modelfacts import version_json

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

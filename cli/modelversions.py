"""Versions of models with their aliases, as `model ls` and `model versions` list them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cli.listing import Listing, Shape, Telling, print_listing
from cli.output import Row
from client.models import Versions
from client.moments import ago
from client.wording import count

if TYPE_CHECKING:
    from db.tables.models import ModelVersion


def print_versions(
    listing: Listing,
    shape: Shape,
    versions: Versions,
    row: "Callable[[ModelVersion, Sequence[str], datetime], Row]",
    *,
    empty: str,
) -> None:
    """Print them in the wanted shape."""
    from client.models import version_json

    telling: Telling[tuple[ModelVersion, Sequence[str]]] = Telling(
        to_json=lambda pair: version_json(*pair),
        row=lambda pair: row(*pair, versions.at),
        ident=lambda pair: pair[0].reference,
    )
    print_listing(listing, shape, versions.found, telling, empty=empty)


def quality_cells(version: "ModelVersion") -> list[str]:
    """The cells IMAGES, METRIC and VALUE."""
    value = "–" if version.metric_value is None else f"{version.metric_value:.4g}"
    return [count(version.images_seen), version.metric_name or "–", value]


def origin_cells(version: "ModelVersion", at: datetime) -> list[str]:
    """The cells JOB and AGE."""
    return [str(version.job_id), ago(version.created_at, at)]

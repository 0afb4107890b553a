"""The curves of a train job as they stand, also while it runs: read from the files of its attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pages.trainhistory import read_history
from reports.curves import drawable, thin
from reports.data import Grid, Series

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pixmill.settings import Settings

MOST_POINTS = 2000  # of a curve


@dataclass(frozen=True)
class CurveFiles:
    """Where the curves of a train job lie."""

    folders: Sequence[Path]  # of its attempts, in order of time
    metric: str | None  # what its quality is measured by, once that is known


@dataclass(frozen=True)
class Curves:
    """What a training has left so far."""

    losses: Sequence[Series]
    quality: Series | None
    grids: Sequence[Grid]


def curve_files(session: "Session", settings: "Settings", job_id: int) -> CurveFiles:
    """Where to read.  Raises NotFound."""
    from client.jobreport.source import JobSource
    from db.listing import job_line

    source = JobSource(session, settings, job_line(session, job_id))
    version = source.trained_version()
    return CurveFiles(source.folders, version.metric_name if version else None)


def read_curves(files: CurveFiles) -> Curves:
    """Read them.  Raises CorruptFile."""
    history = read_history(files.folders, files.metric)
    return Curves(history.losses, history.quality, history.grids)


def curves_json(curves: Curves) -> dict[str, Any]:
    """The same for scripts: of long curves, what keeps every peak; what is no number is null."""
    return {
        "losses": [_series_json(series) for series in curves.losses],
        "quality": _series_json(curves.quality) if curves.quality else None,
    }


def _series_json(series: Series) -> dict[str, Any]:
    places, values = np.asarray(series.images_seen, np.float64), np.asarray(series.values, np.float64)
    places, values = thin(places, np.where(drawable(values), values, np.nan), MOST_POINTS)
    shown = [value if np.isfinite(value) else None for value in values.tolist()]
    return {"name": series.name, "images_seen": places.tolist(), "values": shown, "better": series.better}

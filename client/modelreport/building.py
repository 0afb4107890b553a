"""The report of a line of models: read from rows and files, and written as a page."""

from pathlib import Path
from typing import TYPE_CHECKING

from client.jobreport.building import written

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.engine import Database
    from pixmill.settings import Settings
    from reports.modelline import ModelReport


def write_model_report(database: "Database", settings: "Settings", name: str, path: Path) -> Path:
    """Write the report of a line of models to `path`; gives the path.

    Raises NotFound, DatabaseUnreachable, PermissionDenied or StorageError.
    """
    from reports.modelpage import write_model

    with database.read() as session:
        report = build_model_report(session, settings, name)
    return written(lambda target: write_model(report, target), path)


def build_model_report(session: "Session", settings: "Settings", name: str) -> "ModelReport":
    """Everything that the report of a line of models shows.  Raises NotFound."""
    from client.modelfacts import model_facts
    from client.modelreport.headline import figures, told
    from client.modelreport.line import read_line
    from client.modelreport.measures import measure_lines
    from client.modelreport.pictures import no_pictures, picture_rows
    from client.modelreport.tables import made_rows, move_rows, verdict_rows, version_rows
    from db.aliases import frozen_text
    from reports.modelline import ModelReport

    line = read_line(session, settings, name)
    versions = version_rows(line)
    made = made_rows(line)
    pictures = picture_rows(line)
    return ModelReport(
        name=name,
        told_at=line.at,
        verdict=told(line),
        frozen=frozen_text(line.model) if line.model.frozen else "",
        figures=figures(line, made),
        versions=versions,
        moves=move_rows(line),
        measures=measure_lines(line),
        verdicts=verdict_rows(line),
        pictures=pictures,
        pictures_missing=no_pictures(line) if not pictures else "",
        made=made,
        newest=model_facts(line.versions[0]) if line.versions else {},
    )

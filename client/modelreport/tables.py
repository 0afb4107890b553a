"""From the rows of a line of models to the tables of its report."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from client.modelreport.line import ModelLine
from pixmill.lineage import PARENT
from reports.modelline import MadeRow, MoveRow, VerdictRow, VersionRow
from reports.numbers import size_text, utc_text
from storage.disk import folder_bytes

if TYPE_CHECKING:
    from db.modellines import Use
    from db.tables.models import ModelVersion

_HINDERS = ("failed", "not earned", "undecided")  # outcomes that a verdict other than PROMOTE comes from


def version_rows(line: ModelLine) -> list[VersionRow]:
    """Every version."""
    return [
        VersionRow(
            version=version.version,
            aliases=line.aliases.get(version.version, ()),
            made_at=version.created_at,
            job=version.job_id,
            preset=version.preset,
            images_seen=version.images_seen,
            dataset=version.dataset.name,
            fingerprint=version.dataset.fingerprint,
            parent=version.lineage.get(PARENT) or "",
            metric=version.metric_name or "",
            value=version.metric_value,
            files=_files(line, version),
        )
        for version in line.versions
    ]


def size_on_disk(line: ModelLine, version: "ModelVersion") -> int | None:
    """Bytes of the files of a version; None where there are none on this host.  Raises PermissionDenied."""
    size_bytes, _whole = folder_bytes(line.files.layout.resolve(version.folder))
    return size_bytes or None


def _files(line: ModelLine, version: "ModelVersion") -> str:
    if version.removed_at is not None:
        return f"removed {utc_text(version.removed_at)}"
    size_bytes = size_on_disk(line, version)
    return "not on this host" if size_bytes is None else size_text(size_bytes)


def move_rows(line: ModelLine) -> list[MoveRow]:
    """Every event."""
    return [
        MoveRow(
            at=event.at,
            who=event.actor,
            what=event.action.replace("_", " "),
            alias=event.alias or "",
            before=event.from_version,
            after=event.to_version,
            why=event.reason or "",
        )
        for event in line.events
    ]


def verdict_rows(line: ModelLine) -> list[VerdictRow]:
    """Every verdict, the newest first."""
    return [
        VerdictRow(
            job=one.job_id,
            at=one.at,
            model=one.result["model"],
            against=one.result["against"] or "",
            verdict=one.result["verdict"],
            why=_reason(one.result),
        )
        for one in reversed(line.verdicts)
    ]


def _reason(result: Mapping[str, Any]) -> str:
    """The gates that stand in the way; of a promotion, that all have passed."""
    texts = [str(row["text"]) for row in result["gates"] if row["outcome"] in _HINDERS]
    return "; ".join(texts) or "all gates passed"


def made_rows(line: ModelLine) -> list[MadeRow]:
    """Every job that has made images with a version, or is to."""
    return [
        MadeRow(
            job=use.job_id,
            kind=use.kind,
            name=use.name,
            state=_state(use),
            at=use.at,
            versions=use.versions,
            images=use.images,
            size_bytes=use.size_bytes,
        )
        for use in line.uses
    ]


def _state(use: "Use") -> str:
    return "removed since" if use.is_removed else use.state.value

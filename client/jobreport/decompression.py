"""From what a decompress job has written to the section of its report that shows it."""

from typing import Any

from client.jobreport.source import JobSource
from db.finding import get_job
from db.views import last_task
from reports.data import DecompressSection, RateLine


def decompress_section(source: JobSource) -> DecompressSection | None:
    """Images, and what was lost when they were compressed; None until it has ended."""
    result = source.result("decompress")
    if not result:
        return None
    model, compressed_by = source.job.spec.get("model"), source.job.spec.get("output")
    compressed: dict[str, Any] = {}
    if compressed_by is not None:
        model = get_job(source.session, compressed_by).spec["model"]
        compressed = last_task(source.session, compressed_by).result or {}
    return DecompressSection(
        images=result["images"],
        verified=result["verified"],
        differing=result["differing"],
        size_bytes=result["bytes"],
        sheet=source.existing(result["contact_sheet"]),
        manifest=str(source.layout.resolve(result["manifest"])),
        files_sha256=result["files_sha256"],
        compressed_by=compressed_by,
        rates=[RateLine(**rate) for rate in compressed.get("rates", ())],
        model=source.facts_of_used_model(model) if model else {},
    )

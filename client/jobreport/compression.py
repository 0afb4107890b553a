"""From what a compress job measured to the section of its report that shows it."""

from client.jobreport.source import JobSource
from reports.data import CompressSection, RateLine


def compress_section(source: JobSource) -> CompressSection | None:
    """Rates, and what was lost; None until it is measured."""
    result = source.result("compress")
    if not result:
        return None
    return CompressSection(
        rates=[RateLine(**rate) for rate in result["rates"]],
        size_bytes=result["bytes"],
        dataset=result["dataset"],
        strips=source.existing(result["strips"]),
        strips_reference=result["strips_reference"],
        files_sha256=result["files_sha256"],
        model=source.facts_of_used_model(),
        next_commands=[
            f"pixmill output export {source.job.id} --to FOLDER",
            f"pixmill submit decompress --output {source.job.id}",
        ],
        warnings=result["warnings"],
    )

"""The report of one job: read from rows and files, and written as a page."""

from pathlib import Path
from typing import TYPE_CHECKING

from client.reasons.jobs import reason_of
from client.reasons.reason import reason_text
from client.situation import read_situation
from pixmill.errors import PermissionDenied, StorageError
from pixmill.kinds import DATASET_MAKERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from db.engine import Database
    from pixmill.settings import Settings
    from reports.data import JobReport


def write_report(database: "Database", settings: "Settings", job_id: int, path: Path) -> Path:
    """Write the report of a job, in whatever state it is, to `path`; gives the path.

    Raises NotFound, DatabaseUnreachable, PermissionDenied or StorageError.
    """
    from reports.html import write

    with database.read() as session:
        report = build_report(session, settings, job_id)
    return written(lambda target: write(report, target), path)


def write_run_report(database: "Database", settings: "Settings", run_id: int, path: Path) -> Path:
    """Write the page of a pipeline run, in whatever state it is, to `path`; gives the path.

    Raises NotFound, DatabaseUnreachable, PermissionDenied or StorageError.
    """
    from db.runfacts import run_facts
    from pages.night import write_run_page
    from storage.paths import Layout

    with database.read() as session:
        facts = run_facts(session, run_id)
    return written(lambda target: write_run_page(facts, Layout(settings.storage_root), target), path)


def written(write: "Callable[[Path], Path]", path: Path) -> Path:
    """Let `write` write a page to `path`.  Raises PermissionDenied or StorageError."""
    from reports.errors import ReportError

    try:
        return write(path)
    except PermissionError as error:
        raise PermissionDenied(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error
    except (OSError, ReportError) as error:
        raise StorageError(f"report {path} cannot be written: {error}") from error


def build_report(session: "Session", settings: "Settings", job_id: int) -> "JobReport":
    """Everything that the report of a job shows.  Raises NotFound."""
    from client.jobreport.compression import compress_section
    from client.jobreport.decompression import decompress_section
    from client.jobreport.evaluation import evaluate_section
    from client.jobreport.generate import generate_section
    from client.jobreport.history import attempt_lines, cancel_words, event_lines, left_facts, log_tail, progress_line
    from client.jobreport.source import JobSource
    from client.jobreport.train import train_section
    from db.listing import job_line
    from pages.gatesection import gate_section
    from reports.data import JobReport

    line = job_line(session, job_id)
    job = line.job
    reason = reason_of(line, read_situation(session, settings.scheduler.lease_seconds, [line]))
    source = JobSource(session, settings, line)
    return JobReport(
        job_id=job.id,
        name=job.title,
        kind=job.kind,
        state=job.state.value,
        reason=reason_text(reason) or cancel_words(source),
        created_at=job.submitted_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        spec=job.spec,
        progress=progress_line(source),
        tasks=len(source.tasks),
        attempts=attempt_lines(source),
        events=event_lines(source),
        train=train_section(source) if job.kind == "train" else None,
        generate=generate_section(source) if job.kind in DATASET_MAKERS else None,
        evaluate=evaluate_section(source),
        gate=gate_section(source.result("gate"), source.existing) if job.kind == "gate" else None,
        compress=compress_section(source) if job.kind == "compress" else None,
        decompress=decompress_section(source),
        left=left_facts(source),
        log=log_tail(source),
    )

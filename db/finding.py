"""One row by its id, as a person names it."""

from sqlalchemy.orm import Session

from db.tables.jobs import Job
from pixmill.errors import NotFound

LARGEST_ID = 2**63 - 1  # what a column holds


def get_job(session: Session, job_id: int) -> Job:
    """The job's row.  Raises NotFound."""
    job = session.get(Job, job_id) if job_id <= LARGEST_ID else None
    if job is None:
        raise NotFound(f"there is no job {job_id}", hint="pixmill ps --all")
    return job

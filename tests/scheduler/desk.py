"""A desk at which tests submit jobs."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.aliases import Deed
from db.engine import Database
from db.leases import finish
from db.registry import add_version, ensure_dataset
from db.tables.jobs import Job, JobDependency, Outcome
from pixmill.settings import Settings
from pixmill.specs import (
    JobOptions,
    Spec,
    TrainSpec,
)
from scheduler.submit import Submitted, submit
from tests import rows
from tests.rows import act

TRAIN = TrainSpec(model="vae", dataset="digits")
DEED = Deed(actor="ann", reason="tried")


class Desk:
    """Submits to this test's database."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings

    def submit(self, spec: Spec = TRAIN, **options: Any) -> Submitted:
        return submit(self.database, self.settings, spec, JobOptions(**options), user="ann")

    def job(self, spec: Spec = TRAIN, **options: Any) -> Job:
        return rows.job(self.database, self.submit(spec, **options).job_id)

    def parents(self, job_id: int) -> dict[int, bool]:
        with self.database.read() as session:
            found = session.scalars(select(JobDependency).where(JobDependency.job_id == job_id))
            return {row.parent_id: row.any_outcome for row in found}

    def count(self) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(Job)) or 0

    def ended(self, outcome: Outcome, kind: str = "train") -> int:
        lease = rows.running(self.database, kind=kind, priority=1000)
        act(self.database, finish, lease, outcome)
        return lease.job_id

    def trained(self, name: str = "digits", job_id: int | None = None, **version: Any) -> int:
        """Publish the next version of a model line; gives the train job's id."""
        job_id = job_id or rows.add(self.database, name=name)

        def publish(session: Session) -> None:
            dataset = ensure_dataset(session, "digits", "f" * 64, {})
            add_version(session, name, rows.version(job_id, dataset, **version))

        self.database.transact(publish)
        return job_id

"""Nights by an injected clock: schedules, what became of their times, and any number of schedulers at once."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.control import cancel_job
from db.engine import Database
from db.schedules import get_schedule, run_lines
from db.tables.jobs import Job
from db.tables.schedules import Schedule, ScheduleRun
from pixmill.pipelines import parse_pipeline
from pixmill.schedules import Catchup, RunOutcome
from pixmill.specs import JobOptions, PingSpec, Spec
from pixmill.states import ACTIVE
from scheduler.cron import parse_cron
from scheduler.schedules import Planner, cron_of
from scheduler.timetable import add_schedule, document_of, make_schedule
from tests.databases import somebody_waits
from tests.scheduler.runs import Runs
from tests.waiting import wait_until

NAME = "nightly"


class Nights:
    """One schedule in Zurich, and two schedulers that always look at the same moment."""

    def __init__(self, database: Database, begin: str) -> None:
        self.database = database
        self.at = datetime.fromisoformat(begin).astimezone(UTC)
        self.planners = [Planner(database, self.clock, outputs=None) for _ in range(2)]

    def clock(self, _session: Session) -> datetime:
        return self.at

    def add(self, cron: str = "30 2 * * *", *, spec: Spec | None = None, name: str = NAME, **terms: Any) -> bool:
        job_name, outputs = terms.pop("job_name", None), terms.pop("outputs", None)
        document = terms.pop("document", None) or document_of(spec or PingSpec(), JobOptions(), job_name)
        usual: dict[str, Any] = {"catchup": Catchup.LATEST, "overlap": None, "deadline_seconds": None}
        usual |= {"jitter_seconds": 0.0, "blackouts": (), "zone": "Europe/Zurich"} | terms
        times = parse_cron(cron, usual.pop("zone"))
        new = make_schedule(name=name, cron=times, document=document, user_name="ann", **usual)
        return self.database.transact(lambda session: add_schedule(session, new, self.at, outputs=outputs))

    def look(self) -> int:
        """Both schedulers look at once; gives how many jobs they added."""
        with ThreadPoolExecutor(len(self.planners)) as pool:
            return sum(pool.map(Planner.start_due, self.planners))

    @contextmanager
    def meanwhile(self) -> Iterator[Session]:
        """A transaction that ends while a scheduler works off what is due, as far as it may before."""
        with ThreadPoolExecutor(1) as pool:
            with self.database.write() as session:
                yield session
                session.flush()
                look = pool.submit(self.planners[0].start_due)
                # SQLite has one writer at a time: there the scheduler begins afterwards.
                wait_until(lambda: self.database.is_sqlite or look.done() or somebody_waits(self.database))
            look.result()

    def look_until(self, end: str, *, hours: float = 8, ended: bool = True) -> None:
        """Look every so often; jobs have ended by the next look."""
        last = datetime.fromisoformat(end).astimezone(UTC)
        while True:
            if self.look() and ended:
                self.end_jobs()
            if self.at == last:
                return
            self.at = min(last, self.at + timedelta(hours=hours))

    def sleep_until(self, end: str) -> None:
        """No scheduler looks in the meantime."""
        self.at = datetime.fromisoformat(end).astimezone(UTC)

    def end_jobs(self) -> None:
        def end(session: Session) -> None:
            for job_id in session.scalars(select(Job.id).where(Job.state.in_(ACTIVE)).order_by(Job.id)):
                cancel_job(session, job_id, actor="ann")

        self.database.transact(end)

    @property
    def schedule(self) -> Schedule:
        with self.database.read() as session:
            return get_schedule(session, NAME)

    @property
    def runs(self) -> list[ScheduleRun]:
        """All runs, the oldest first."""
        with self.database.read() as session:
            found = run_lines(session, get_schedule(session, NAME).id, limit=10_000)
        return [line.run for line in reversed(found)]

    @property
    def story(self) -> list[str]:
        """Each time by the clocks of Zurich, and what became of it."""
        local = cron_of(self.schedule).local
        return [
            f"{local(run.scheduled_for):%m-%d %H:%M%z} "
            + ("run" if run.outcome is RunOutcome.SUBMITTED else str(run.reason))
            for run in self.runs
        ]

    @property
    def jobs(self) -> list[Job]:
        with self.database.read() as session:
            return list(session.scalars(select(Job).order_by(Job.id)))


class PipelineNights(Nights):
    """A schedule of a pipeline, and its runs."""

    def __init__(self, database: Database, begin: str, document: Mapping[str, Any], **terms: Any) -> None:
        super().__init__(database, begin)
        self.pipelines = Runs(database)
        self.add(document=parse_pipeline(document).stored(), **terms)

    def look(self) -> int:
        """Both schedulers look at once, each at the plan and then at the runs; gives how many runs were added."""

        def tick(number: int) -> int:
            begun = self.planners[number].start_due()
            self.pipelines.conductors[number].advance()
            return begun

        with ThreadPoolExecutor(len(self.planners)) as pool:
            return sum(pool.map(tick, range(len(self.planners))))

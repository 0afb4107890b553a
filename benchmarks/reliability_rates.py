"""How many jobs go through the line, and how much a look at a long queue costs."""

import time

from sqlalchemy import func, select

from benchmarks.reliability_figures import Figure
from benchmarks.reliability_site import Site, site
from db.tables.jobs import Attempt, Job, Outcome
from pixmill.specs import JobOptions, PingSpec
from pixmill.states import ACTIVE, State
from scheduler.submit import submit_many

LOOK_SECONDS = 0.05  # between two looks at the whole queue
GIVE_UP_SECONDS = 600.0


def throughput(kind: str, jobs: int, workers: int) -> Figure:
    """No-op jobs per second, from just before the submit until the last job's row says that it has ended.

    One transaction submits all of them (kind ping) to idle warm workers; each is then claimed, handed to the device
    process, answered and finished, as any job is: short ones by the handful. This process looks every 50 ms whether
    a job is left. Afterwards every job must have succeeded once, and all other attempts must have been given back
    before they began. SQLite and PostgreSQL keep each commit through a power cut, as the product sets them.
    """
    with site(kind, workers=workers, schedulers=1) as here:
        _drive(here, 50 * workers)
        before = here.cpu_seconds()
        submitted, seconds = _drive(here, jobs)
        after = here.cpu_seconds()
        _require_each_once(here, jobs + 50 * workers)
    name = f"throughput, {workers} worker{'s' if workers > 1 else ''}"
    details = {"submit seconds": round(submitted, 2), "after it, jobs/s": round(jobs / (seconds - submitted), 1)}
    details |= {f"CPU ms a job in {part}": round((after[part] - before[part]) / jobs * 1000, 2) for part in after}
    rate = round(jobs / seconds, 1)
    return Figure(name, kind, "", rate, 500, "jobs/s", best="high", count=jobs, details=details)


def _drive(here: Site, jobs: int) -> tuple[float, float]:
    """Seconds of the submit, and of all until the last job has ended."""
    started = time.monotonic()
    submit_many(here.database, here.settings, [(PingSpec(), JobOptions())] * jobs, user="benchmark")
    submitted = time.monotonic() - started
    while _is_work_left(here):
        assert time.monotonic() - started < GIVE_UP_SECONDS, here.logs()
        time.sleep(LOOK_SECONDS)
    return submitted, time.monotonic() - started


def _is_work_left(here: Site) -> bool:
    with here.database.read() as session:
        return session.scalar(select(Job.id).where(Job.state.in_(ACTIVE)).limit(1)) is not None


def _require_each_once(here: Site, jobs: int) -> None:
    with here.database.read() as session:
        succeeded = session.scalar(select(func.count()).where(Job.state == State.SUCCEEDED))
        won, returned = (
            session.scalar(select(func.count()).where(Attempt.outcome == outcome))
            for outcome in (Outcome.SUCCEEDED, Outcome.PREEMPTED)
        )
        attempts = session.scalar(select(func.count()).select_from(Attempt)) or 0
    told = f"{succeeded} of {jobs} succeeded, in {attempts} attempts: {won} won, {returned} given back"
    assert succeeded == won == jobs, told
    assert attempts == jobs + (returned or 0), told

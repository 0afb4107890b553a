"""Reasons that lie with the jobs before it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from client.reasons.case import Case
from client.reasons.reason import Reason
from client.situation import SHOWN_PARENTS
from client.wording import percent
from pixmill.states import State

if TYPE_CHECKING:
    from db.listing import JobLine


def dependency_never_satisfied(case: Case) -> Reason | None:
    """A job whose success it needs has not succeeded."""
    lost = case.unfinished.lost_parents
    if not lost:
        return None
    return Reason(
        code="DependencyNeverSatisfied",
        text=f"it needs the success of {_parents(case, lost)}",
        brief=f"job {lost[0]} did not succeed",
        remedy=f"pixmill job retry {lost[0]}",
        facts={"jobs": list(lost)},
    )


def dependency(case: Case) -> Reason | None:
    """Jobs that must end first have not ended."""
    waits_for = case.line.waits_for
    if not waits_for:
        return None
    more = ",…" if len(waits_for) > SHOWN_PARENTS else ""
    return Reason(
        code=f"Dependency({','.join(map(str, waits_for[:SHOWN_PARENTS]))}{more})",
        text=f"waits for {_parents(case, waits_for)}",
        brief="",
        remedy=f"pixmill job why {waits_for[0]}",
        facts={"jobs": list(waits_for)},
    )


def _parents(case: Case, job_ids: Sequence[int]) -> str:
    """Some jobs and how far they are, such as "job 7 (running, 43%)"."""
    known = [_parent(job_id, case.situation.parents.get(job_id)) for job_id in job_ids[:SHOWN_PARENTS]]
    more = f" and {len(job_ids) - len(known)} more" if len(job_ids) > len(known) else ""
    return f"{', '.join(known)}{more}"


def _parent(job_id: int, line: "JobLine | None") -> str:
    if line is None:
        return f"job {job_id}"
    job = line.job
    far = f", {percent(min(line.done, job.progress_total), job.progress_total)}" if job.state is State.RUNNING else ""
    return f"job {job_id} ({job.state}{far})"

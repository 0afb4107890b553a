"""Calls that act on jobs."""

from client.acts import (
    Act,
    Actor,
    Start,
    arrays_of,
    cancel,
    change,
    hold,
    limit_array,
    perform,
    release,
    requeue,
    retry,
    top,
)
from client.calls.base import Caller, JobLike, id_of
from client.jobs import Job, jobs_by_id
from pixmill.errors import UserError


class ActCalls(Caller):
    """Acts on one job, in one transaction, and gives the job as it stands then.

    All calls raise NotFound, Conflict (the present state of the job forbids it) or DatabaseUnreachable, and nothing
    has changed then. `reason` is kept beside who and when.
    """

    def cancel(self, job: JobLike, *, reason: str | None = None, force: bool = False) -> Job:
        """Stop it: what waits never starts, what runs stops within seconds; `force` does not ask its workers."""
        return self._act(cancel(self._actor(reason), force=force), job)

    def hold(self, job: JobLike, *, reason: str | None = None) -> Job:
        """Let nothing more of it start; what runs goes on."""
        return self._act(hold(self._actor(reason)), job)

    def release(self, job: JobLike, *, reason: str | None = None) -> Job:
        """Let a held job go on."""
        return self._act(release(self._actor(reason)), job)

    def requeue(self, job: JobLike, *, reason: str | None = None, hold: bool = False) -> Job:
        """Take it off its devices at the next checkpoint, to wait again; held, with `hold`."""
        return self._act(requeue(self._actor(reason), hold=hold), job)

    def retry(
        self,
        job: JobLike,
        *,
        reason: str | None = None,
        start: Start = "last",
        time_limit_seconds: float | None = None,
    ) -> Job:
        """Run it again after it failed or was cancelled; a training from its last or best checkpoint, or from none."""
        return self._act(retry(self._actor(reason), start=start, time_limit_seconds=time_limit_seconds), job)

    def top(self, job: JobLike, *, reason: str | None = None) -> Job:
        """Put it ahead of all that waits in its queue."""
        return self._act(top(self._actor(reason)), job)

    def set(
        self,
        job: JobLike,
        *,
        reason: str | None = None,
        priority: int | None = None,
        queue: str | None = None,
        time_limit_seconds: float | None = None,
    ) -> Job:
        """Change its priority, its queue, or the time limit of later attempts.  Raises UserError and SpecError, too."""
        from pixmill.specs import parse_options

        changes = {"priority": priority, "queue": queue, "time_limit_seconds": time_limit_seconds}
        given = {name: value for name, value in changes.items() if value is not None}
        if not given:
            raise UserError("nothing is to be changed", hint="give priority, queue or time_limit_seconds")
        parse_options(given)
        act = change(self._actor(reason), priority=priority, queue=queue, time_limit_seconds=time_limit_seconds)
        return self._act(act, job)

    def limit_array(self, job: JobLike, limit: int | None, *, reason: str | None = None) -> Job:
        """Let at most so many jobs of its array run at once; None lifts the limit, and what runs beyond it goes on.

        Raises UserError for a number below 0, too.
        """
        from pixmill.arrays import LARGEST_INDEX

        if limit is not None and not 0 <= limit <= LARGEST_INDEX:
            raise UserError(f"{limit} is no limit of an array", hint="give a whole number from 0 on, or None")
        job_id = id_of(job)
        (array_id,) = self._workspace.database.consult(lambda session: arrays_of(session, [job_id]))
        self._act(limit_array(self._actor(reason), limit), array_id)
        return jobs_by_id(self._workspace, [job_id])[0]

    def _actor(self, reason: str | None) -> Actor:
        return Actor(name=self._user, why=reason)

    def _act(self, act: Act, job: JobLike) -> Job:
        job_id = id_of(job)
        perform(self._workspace, act, job_id)
        if act.wakes:
            self._wake()
        return jobs_by_id(self._workspace, [job_id])[0]

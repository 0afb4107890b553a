"""Calls that look at jobs, and wait for them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from client.calls.base import Caller, JobLike, JobLikes, id_of, ids_of
from client.jobs import Job, Progress, chosen_jobs, jobs_by_id
from client.selection import Selection
from pixmill.states import State

if TYPE_CHECKING:
    from client.logs import LogReader, LogSource
    from client.why import Explanation


class JobCalls(Caller):
    """Looks at jobs. All calls raise NotFound for a job that does not exist, and DatabaseUnreachable."""

    def job(self, job: JobLike) -> Job:
        """The job as it stands now."""
        return jobs_by_id(self._workspace, [id_of(job)])[0]

    def jobs(
        self,
        *,
        states: Sequence[State | str] = (),
        kinds: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        queues: Sequence[str] = (),
        users: Sequence[str] = (),
        arrays: Sequence[int] = (),
        limit: int | None = None,
        before: JobLike | None = None,
    ) -> list[Job]:
        """Jobs that pass every filter, the oldest first: all, or the newest `limit`; `before` gives the page before.

        Raises UserError for a state that there is not.
        """
        selection = Selection(
            states=tuple(map(_state, states)),
            kinds=tuple(kinds),
            labels=labels or {},
            queues=tuple(queues),
            users=tuple(users),
            arrays=tuple(arrays),
        )
        older = None if before is None else id_of(before)
        return chosen_jobs(self._workspace, selection, limit=limit, before=older)

    def why(self, job: JobLike) -> "Explanation":
        """Where it stands, all that keeps it from going on, and the commands that would help."""
        from client.why import explain

        lease_seconds = self.settings.scheduler.lease_seconds
        return self._workspace.database.consult(lambda session: explain(session, lease_seconds, id_of(job)))

    def wait(self, jobs: JobLikes, *, timeout: float | None = None, check: bool = False) -> list[Job]:
        """Wait until all have ended, however they ended, at most `timeout` seconds; gives them in the same order.

        With `check` raises JobFailed, JobCancelled or, when time is up, JobNotFinished. Outages of the database of
        less than a minute are waited out: `on_trouble` is told.
        """
        from client.waiting import raise_outcome, watch

        ids = ids_of(jobs)
        if not ids:
            return []
        for lines, situation in watch(self._workspace, ids, timeout_seconds=timeout, note=self._on_trouble):
            found = [lines[job_id] for job_id in ids], situation
        ended = [Job.of(line, found[1]) for line in found[0]]
        if check:
            raise_outcome({job.id: job.state for job in ended})
        return ended

    def progress(self, job: JobLike) -> Iterator[Progress]:
        """How far it is: now, and whenever that has changed, until it has ended."""
        from client.waiting import watch

        last: Progress | None = None
        job_id = id_of(job)
        for lines, situation in watch(self._workspace, [job_id], timeout_seconds=None, note=self._on_trouble):
            now = Progress.of(lines[job_id], situation)
            if now != last:
                yield now
            last = now

    def logs(self, job: JobLike, *, follow: bool = False, attempt: int | None = None) -> Iterator[str]:
        """The lines that its attempts have written, one after the other; with `follow` until it has ended.

        Logs lie where the workers run; of those below a storage root that this host does not share PostgreSQL has the
        end. Raises NotFound for an attempt that there is not.
        """
        from client.logs import LogReader, log_looks, log_sources

        job_id, root, reader = id_of(job), self.settings.storage_root, LogReader(self._workspace.database)
        if not follow:
            with self._workspace.database.read() as session:
                sources = log_sources(session, root, job_id, attempt)
            yield from _new_lines(reader, sources, whole=True)
            return
        for look in log_looks(self._workspace, job_id, attempt, self._on_trouble):
            yield from _new_lines(reader, look.sources, whole=look.is_last)

    def results(self, job: JobLike) -> dict[str, Any]:
        """What its tasks have found, such as the model of a train job, or the verdict of a gate."""
        from db.ends import own_results

        found = self._workspace.database.consult(lambda session: own_results(session, self._known(session, job)))
        return {key: value for result in found for key, value in result.items()}

    def metrics(self, job: JobLike) -> list[Mapping[str, Any]]:
        """What it has measured: name, value, n, better and controls of each metric."""
        from db.views import job_evaluation

        found = self._workspace.database.consult(lambda session: job_evaluation(session, self._known(session, job)))
        return list(found.metrics) if found else []

    @staticmethod
    def _known(session: Any, job: JobLike) -> int:
        from db.finding import get_job

        return int(get_job(session, id_of(job)).id)


def _state(name: State | str) -> str:
    from pixmill.errors import UserError
    from pixmill.names import suggestion

    if name not in set(State):
        raise UserError(f"there is no state {name!r}", hint=suggestion(str(name), set(State)))
    return State(name).value


def _new_lines(reader: "LogReader", sources: "Sequence[LogSource]", *, whole: bool) -> Iterator[str]:
    for source in sources:
        yield from reader.new_lines(source, whole=whole)

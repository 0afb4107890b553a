"""What is done to jobs that there are, some at a time in one transaction; an event of each job says who, and why."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from client.wording import duration
from client.workspace import Workspace
from pixmill.errors import Conflict, NotFound, PixmillError, UserError
from pixmill.states import State

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_BATCH = 100  # jobs in one transaction: others can do something in between

Start = Literal["last", "best", "none"]
# Which checkpoint a training that is tried again goes on from.
STARTS: Mapping[Start, str] = MappingProxyType(
    {"last": "from its last checkpoint", "best": "from its best checkpoint", "none": "from the start"}
)
_UNFINISHED = (State.PENDING, State.QUEUED, State.RUNNING, State.HELD)


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that operators do to jobs."""

    verb: str  # "cancel"
    states: tuple[State, ...]  # which jobs a filter that names no state means
    do: "Callable[[Session, int], str]"  # gives what became of the job: "is cancelled"
    wakes: bool  # whether something may start after it
    last_first: bool = False  # of several jobs the one that was named first comes last


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts, and why."""

    name: str
    why: str | None = None


def perform(workspace: Workspace, act: Act, job_id: int) -> str:
    """Do it; gives what became of the job.

    Raises NotFound, Conflict or UserError, each with a hint, and DatabaseUnreachable; nothing has changed then.
    """
    ((_job_id, outcome),) = perform_all(workspace, act, [job_id])
    if isinstance(outcome, PixmillError):
        raise outcome
    return outcome


def perform_all(workspace: Workspace, act: Act, job_ids: Sequence[int]) -> Iterator[tuple[int, str | PixmillError]]:
    """Do it to some jobs at a time in one transaction; gives what became of each, or why it was impossible.

    What the database itself raises ends it: it would be raised for the next job too.
    """
    for first in range(0, len(job_ids), _BATCH):
        batch = job_ids[first : first + _BATCH]
        yield from zip(batch, workspace.database.transact(partial(_tried_each, act=act, job_ids=batch)), strict=True)


def _tried_each(session: "Session", act: Act, job_ids: Sequence[int]) -> list[str | PixmillError]:
    return [_tried(session, act, job_id) for job_id in job_ids]


def _tried(session: "Session", act: Act, job_id: int) -> str | PixmillError:
    """What became of the job; or why nothing did, and then all that the act has written is taken back."""
    try:
        with session.begin_nested():
            return act.do(session, job_id)
    except (NotFound, Conflict, UserError) as error:
        error.hint = error.hint or f"pixmill job why {job_id}"
        return error


def cancel(actor: Actor, *, force: bool = False) -> Act:
    """Stop jobs; with `force` their workers lose their leases at once, whether they answer or not."""

    def do(session: "Session", job_id: int) -> str:
        from db.control import cancel_job

        state = cancel_job(session, job_id, actor=actor.name, why=actor.why, force=force)
        return "is cancelled" if state.is_terminal else f"is being cancelled; pixmill wait {job_id}"

    return Act(verb="cancel", states=_UNFINISHED, do=do, wakes=force)


def purge(actor: Actor) -> Act:
    """Cancel jobs of which nothing runs; what has begun meanwhile is left as it is."""

    def do(session: "Session", job_id: int) -> str:
        from db.emptying import purge_job

        purge_job(session, job_id, actor=actor.name, why=actor.why)
        return "is cancelled"

    return Act(verb="purge", states=(State.PENDING, State.QUEUED, State.HELD), do=do, wakes=False)


def hold(actor: Actor) -> Act:
    """Let nothing more of jobs start; what runs goes on."""

    def do(session: "Session", job_id: int) -> str:
        from db.control import hold_job

        state = hold_job(session, job_id, actor=actor.name, why=actor.why)
        return "is held" if state is State.HELD else "goes on with what runs; the rest of it is held"

    return Act(verb="hold", states=(State.PENDING, State.QUEUED), do=do, wakes=False)


def release(actor: Actor) -> Act:
    """Let held jobs go on."""

    def do(session: "Session", job_id: int) -> str:
        from db.control import release_job

        release_job(session, job_id, actor=actor.name, why=actor.why)
        return "is released"

    return Act(verb="release", states=(State.HELD,), do=do, wakes=True)


def requeue(actor: Actor, *, hold: bool = False) -> Act:
    """Take running jobs off their devices at the next checkpoint, to wait again, held with `hold`."""

    def do(session: "Session", job_id: int) -> str:
        from db.control import requeue_job

        requeue_job(session, job_id, actor=actor.name, why=actor.why, hold=hold)
        return f"stops at its next checkpoint, and {'is held' if hold else 'waits for a device again'}"

    return Act(verb="requeue", states=(State.RUNNING,), do=do, wakes=True)


def retry(actor: Actor, *, start: Start = "last", time_limit_seconds: float | None = None) -> Act:
    """Run again what failed or was cancelled; what has been published is kept."""

    def do(session: "Session", job_id: int) -> str:
        from db.control import CheckpointChoice, retry_job, set_job

        retry_job(session, job_id, actor=actor.name, why=actor.why, start=CheckpointChoice(start))
        if time_limit_seconds is not None:  # in the same transaction, so that no attempt begins under the old one
            set_job(session, job_id, actor=actor.name, why=actor.why, time_limit_seconds=time_limit_seconds)
        return f"is tried again{', ' + STARTS[start] if start != 'last' else ''}"

    return Act(verb="retry", states=(State.FAILED, State.CANCELLED), do=do, wakes=True)


def top(actor: Actor) -> Act:
    """Put jobs ahead of all that waits in their queue."""

    def do(session: "Session", job_id: int) -> str:
        from db.control import top_job

        top_job(session, job_id, actor=actor.name, why=actor.why)
        return "goes before all that waits in its queue"

    states = (State.PENDING, State.QUEUED, State.HELD)
    # Each one goes before all others, so the last one to be put there stands first.
    return Act(verb="put ahead", states=states, do=do, wakes=True, last_first=True)


def limit_array(actor: Actor, limit: int | None) -> Act:
    """Let at most so many jobs of an array run at once; None lifts the limit. What it is done to is the array's id."""
    words = "as many as there are devices" if limit is None else f"at most {limit}"

    def do(session: "Session", array_id: int) -> str:
        from db.arrays import set_array_limit

        array = set_array_limit(session, array_id, limit, actor=actor.name, why=actor.why)
        return f"of its {array.size:,} jobs {words} run at once"

    return Act(verb="change", states=(), do=do, wakes=True)


def arrays_of(session: "Session", job_ids: Sequence[int]) -> list[int]:
    """The arrays of these jobs, each once.  Raises NotFound, also for a job that belongs to none."""
    from db.finding import get_job

    found = [(job_id, get_job(session, job_id).array_id) for job_id in job_ids]
    alone = next((job_id for job_id, array_id in found if array_id is None), None)
    if alone is not None:
        raise NotFound(f"job {alone} belongs to no array", hint=f"pixmill job show {alone}")
    return list(dict.fromkeys(array_id for _job_id, array_id in found if array_id is not None))


def change(
    actor: Actor, *, priority: int | None = None, queue: str | None = None, time_limit_seconds: float | None = None
) -> Act:
    """Change how unfinished jobs are queued."""
    told = [f"priority {priority}"] if priority is not None else []
    told += [f"queue {queue}"] if queue is not None else []
    told += [f"time limit {duration(time_limit_seconds)}"] if time_limit_seconds is not None else []

    def do(session: "Session", job_id: int) -> str:
        from db.control import set_job

        set_job(
            session,
            job_id,
            actor=actor.name,
            why=actor.why,
            priority=priority,
            queue=queue,
            time_limit_seconds=time_limit_seconds,
        )
        return f"has {', '.join(told)} now"

    return Act(verb="change", states=_UNFINISHED, do=do, wakes=True)

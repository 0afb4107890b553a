"""Queues that operators pause, resume and limit."""

from enum import Enum

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.moves import add_event
from db.tables.jobs import Queue
from pixmill.errors import NotFound
from pixmill.names import suggestion


class Unchanged(Enum):
    """Says that a limit stays as it is, where None means "no limit"."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


def pause_queue(session: Session, name: str, *, actor: str, why: str | None) -> bool:
    """Let nothing more of this queue start; False if it was paused before.  Raises NotFound."""
    return _set_paused(session, name, paused=True, actor=actor, why=why)


def resume_queue(session: Session, name: str, *, actor: str, why: str | None = None) -> bool:
    """Let the queue's jobs start again; False if it was not paused.  Raises NotFound."""
    return _set_paused(session, name, paused=False, actor=actor, why=why)


def queue_names(session: Session) -> dict[str, bool]:
    """Queue → whether it is paused."""
    return dict(iter(session.execute(select(Queue.name, Queue.paused))))


def get_queue(session: Session, name: str, *, locked: bool = False) -> Queue:
    """The queue of that name, with its row locked if wanted.  Raises NotFound."""
    queue = session.get(Queue, name, with_for_update={"key_share": True} if locked else None)
    if queue is None:
        names = session.scalars(select(Queue.name)).all()
        hint = suggestion(name, names) if names else "a queue comes to be with the first job that names it"
        raise NotFound(f"there is no queue {name!r}", hint=hint)
    return queue


def _set_paused(session: Session, name: str, *, paused: bool, actor: str, why: str | None) -> bool:
    queue = get_queue(session, name, locked=True)
    changed = queue.paused != paused
    queue.paused, queue.paused_reason = paused, why if paused else None
    action = "pause_queue" if paused else "resume_queue"
    add_event(session, actor=actor, action=action, detail=f"{name}: {why}" if why else name)
    return changed


def set_queue(
    session: Session,
    name: str,
    *,
    actor: str,
    why: str | None = None,
    weight: float | None = None,
    max_running: int | Unchanged | None = UNCHANGED,
    max_running_per_user: int | Unchanged | None = UNCHANGED,
) -> Queue:
    """Change a queue's share (a positive weight) and its limits on running tasks (None lifts one); gives its row.

    What runs beyond a new limit goes on. Raises NotFound.
    """
    queue = get_queue(session, name, locked=True)
    wanted = {"weight": UNCHANGED if weight is None else weight, "max_running": max_running}
    wanted |= {"max_running_per_user": max_running_per_user}
    changes = {key: value for key, value in wanted.items() if not isinstance(value, Unchanged)}
    for key, value in changes.items():
        setattr(queue, key, value)
    told = ", ".join(f"{key} {'none' if value is None else value}" for key, value in changes.items())
    add_event(session, actor=actor, action="set_queue", detail=f"{name}: {told}" + (f": {why}" if why else ""))
    session.flush()
    return queue

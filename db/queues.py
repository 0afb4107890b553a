"""Queues that operators pause and resume."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Event, Queue
from pixmill.errors import NotFound
from pixmill.names import suggestion


def pause_queue(session: Session, name: str, *, actor: str, why: str | None) -> bool:
    """Let nothing more of this queue start; False if it was paused before.  Raises NotFound."""
    return _set_paused(session, name, paused=True, actor=actor, why=why)


def resume_queue(session: Session, name: str, *, actor: str) -> bool:
    """Let the queue's jobs start again; False if it was not paused.  Raises NotFound."""
    return _set_paused(session, name, paused=False, actor=actor, why=None)


def _set_paused(session: Session, name: str, *, paused: bool, actor: str, why: str | None) -> bool:
    queue = session.get(Queue, name, with_for_update=True)
    if queue is None:
        names = session.scalars(select(Queue.name)).all()
        hint = suggestion(name, names) if names else "a queue comes to be with the first job that names it"
        raise NotFound(f"there is no queue {name!r}", hint=hint)
    changed = queue.paused != paused
    queue.paused, queue.paused_reason = paused, why
    action = "pause_queue" if paused else "resume_queue"
    session.add(Event(actor=actor, action=action, detail=f"{name}: {why}" if why else name))
    return changed

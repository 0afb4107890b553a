"""Notifications on their way: who sends which, what became of each, and when rows go.

Whoever sends one claims it first, by a compare-and-set that counts the try; what follows carries that number. A sender
that dies leaves a row that is due again when its try counts as lost, with the same token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from db.corrupt import corrupt_rows, sound_rows
from db.moves import add_event
from db.periods import ALWAYS, Period
from db.statements import update_row
from db.tables.told import Notification
from db.types import now
from db.workers import database_time
from pixmill.errors import Conflict, CorruptRow, NotFound
from pixmill.notifications import NotificationState

ACTOR = "scheduler"
GIVEN_UP = "give_up_notification"  # the event

_rows: Any = Notification.__table__
_NOW = now()
_WAITS = _rows.c.state == NotificationState.WAITING
_CLAIMABLE = (_rows.c.id == bindparam("of_row"), _WAITS, _rows.c.tries == bindparam("of_tries"))
_CLAIMED = tuple(_rows.c[name] for name in ("id", "token", "kind", "subject", "facts", "count", "tries"))
_TIMES = tuple(_rows.c[name] for name in ("excused_tries", "added_at", "wanted_at"))
_ONE_MORE = _rows.c.tries + 1


@dataclass(frozen=True)
class Claimed:
    """A notification that this process is about to send."""

    id: int
    token: str
    kind: str
    subject: str
    facts: Mapping[str, Any]
    count: int
    tries: int  # this one included
    excused_tries: int
    added_at: datetime
    wanted_at: datetime
    claimed_at: datetime  # by the database's clock


@dataclass(frozen=True)
class Tally:
    """How many notifications there are."""

    waiting: int = 0
    sent: int = 0
    failed: int = 0
    skipped: int = 0
    tried: int = 0  # of those that wait: in vain so far
    overdue: int = 0  # of those that wait: due for a while, and nobody has tried
    failed_lately: int = 0  # given up within the last day

    @property
    def undelivered(self) -> int:
        """How many nobody has got, though somebody tried."""
        return self.tried + self.failed


def earliest_try(session: Session) -> tuple[datetime, datetime | None]:
    """What the database's clock says, and when the next try is due, if any is; at once if that cannot be read."""
    (row,) = sound_rows(session, _earliest_statement(), {}, lambda row, _error: row._replace(due=row.at))
    return row.at, row.due


@cache
def _earliest_statement() -> "Select[Any]":
    # The first of an index, where min() would lack its type on SQLite.
    first = select(_rows.c.next_try_at).where(_WAITS).order_by(_rows.c.next_try_at).limit(1).scalar_subquery()
    return select(_NOW.label("at"), first.label("due"))


def claim_next(session: Session, hold_seconds: float) -> Claimed | None:
    """Claim what is due first, for so long; None if nothing is, others have it, or it cannot be read and is given up.

    After that time it is due again, whatever has become of the claim.
    """
    wrong: list[CorruptRow] = []

    def noted(row: Any, error: CorruptRow) -> Any:
        wrong.append(error)
        return row

    at = database_time(session)
    found = sound_rows(session, _first_statement(), {}, noted)
    if not found or (not wrong and found[0].next_try_at > at):
        return None
    row, claimed = found[0], None
    if not wrong:
        held = {"tries": _ONE_MORE, "next_try_at": at + timedelta(seconds=hold_seconds)}
        key = {"of_row": row.id, "of_tries": row.tries}
        claimed = update_row(session, _rows, _CLAIMABLE, held, key, (*_CLAIMED, *_TIMES), noted)
    if wrong:
        _refuse(session, row.id, wrong[0])
        return None
    return None if claimed is None else Claimed(**claimed._asdict(), claimed_at=at)


@cache
def _first_statement() -> "Select[Any]":
    # That it is due is looked at afterwards: a time that cannot be read may stand behind all others.
    waiting = select(_rows.c.id, _rows.c.tries, _rows.c.next_try_at).where(_WAITS)
    return waiting.order_by(_rows.c.next_try_at, _rows.c.id).limit(1).with_for_update(skip_locked=True)


def _refuse(session: Session, row_id: int, error: CorruptRow) -> None:
    """Give up what cannot be read."""
    corrupt_rows(session).tell(f"notification {row_id}", error)
    ended = {"state": NotificationState.FAILED, "error": error.message, "ended_at": _NOW}
    update_row(session, _rows, (_rows.c.id == bindparam("of_row"),), ended, {"of_row": row_id}, (_rows.c.id,))
    add_event(session, actor=ACTOR, action=GIVEN_UP, detail=f"notification {row_id}: {error.message}")


def mark_sent(session: Session, claimed: Claimed, status: int) -> bool:
    """Say that the receiver has it; False if the claim was lost meanwhile."""
    return _settle(session, claimed, state=NotificationState.SENT, status=status, error=None, ended_at=_NOW)


def try_again(session: Session, claimed: Claimed, status: int | None, error: str, pause_seconds: float) -> bool:
    """Say why a try did not count, and when the next one is; False if the claim was lost meanwhile."""
    due = database_time(session) + timedelta(seconds=pause_seconds)
    return _settle(session, claimed, status=status, error=error, next_try_at=due)


def give_up(session: Session, claimed: Claimed, status: int | None, error: str) -> bool:
    """Try no more, and leave an event; False if the claim was lost meanwhile."""
    ended = {"state": NotificationState.FAILED, "status": status, "error": error, "ended_at": _NOW}
    if not _settle(session, claimed, **ended):
        return False
    detail = f"notification {claimed.id}, {claimed.kind} of {claimed.subject}: {error}"
    add_event(session, actor=ACTOR, action=GIVEN_UP, detail=detail)
    return True


def skip(session: Session, claimed: Claimed, why: str) -> bool:
    """Say that it is not sent; False if the claim was lost meanwhile."""
    return _settle(session, claimed, state=NotificationState.SKIPPED, error=why, ended_at=_NOW)


def _settle(session: Session, claimed: Claimed, **values: Any) -> bool:
    key = {"of_row": claimed.id, "of_tries": claimed.tries}
    return update_row(session, _rows, _CLAIMABLE, values, key, (_rows.c.id,)) is not None


def retry_notification(session: Session, row_id: int, *, actor: str) -> Notification:
    """Let one that was given up, skipped or waits be tried at once, as often as a new one; gives its row as it was.

    Raises NotFound, or Conflict for one that was sent.
    """
    row = session.get(Notification, row_id, with_for_update=True)
    if row is None:
        raise NotFound(f"there is no notification {row_id}", hint="pixmill notify ls")
    if row.state is NotificationState.SENT:
        raise Conflict(f"notification {row_id} was sent", hint="to try the way there: pixmill notify test")
    at = database_time(session)
    again = {"state": NotificationState.WAITING, "excused_tries": Notification.tries, "ended_at": None}
    session.execute(update(Notification).where(Notification.id == row_id).values(**again, next_try_at=at, wanted_at=at))
    detail = f"notification {row_id}, {row.kind} of {row.subject}"
    add_event(session, actor=actor, action="retry_notification", detail=detail)
    return row


def list_notifications(
    session: Session, *, state: NotificationState | None, limit: int, added: Period = ALWAYS
) -> Sequence[Notification]:
    """Notifications, the newest first."""
    within = added.bounds(Notification.added_at)
    statement = select(Notification).where(*within).order_by(Notification.id.desc()).limit(limit)
    return session.scalars(statement if state is None else statement.where(Notification.state == state)).all()


def tally(session: Session, *, late_seconds: float = 300.0, lately_seconds: float = 86_400.0) -> Tally:
    """Count them."""
    at = database_time(session)
    counted = session.execute(select(Notification.state, func.count()).group_by(Notification.state))
    numbers = {state.value: number for state, number in counted}
    late = (Notification.tries == Notification.excused_tries) & (
        Notification.next_try_at < at - timedelta(seconds=late_seconds)
    )
    some = {
        "tried": (NotificationState.WAITING, Notification.tries > Notification.excused_tries),
        "overdue": (NotificationState.WAITING, late),
        "failed_lately": (NotificationState.FAILED, Notification.ended_at > at - timedelta(seconds=lately_seconds)),
    }
    for name, (state, condition) in some.items():
        counting = select(func.count()).select_from(Notification).where(Notification.state == state, condition)
        numbers[name] = session.scalar(counting) or 0
    return Tally(**numbers)


def prune(session: Session, keep_seconds: float, limit: int) -> int:
    """Remove rows that were added so long ago, and nobody sends; gives how many.  Call again until it is 0."""
    before = database_time(session) - timedelta(seconds=keep_seconds)
    old = select(Notification.id).where(Notification.wanted_at < before).order_by(Notification.id).limit(limit)
    ids = session.scalars(old).all()
    if ids:
        session.execute(delete(Notification).where(Notification.id.in_(ids)))
    return len(ids)

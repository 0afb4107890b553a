"""The ends of logs, kept in the database for those who do not see the files: a bounded number of bytes an attempt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, bindparam, delete, exists, insert, select
from sqlalchemy.orm import Session

from db.leases import MINE, Lease, lease_key
from db.statements import fetch
from db.tables.jobs import Task
from db.tables.told import LogPiece
from db.types import now
from db.workers import database_time
from pixmill.states import State

_pieces: Any = LogPiece.__table__
_tasks: Any = Task.__table__
_NOW = now()
_STILL_MINE = exists().where(*MINE)
_VALUES: "Select[Any]" = select(
    bindparam("of_task", type_=_pieces.c.task_id.type),
    bindparam("of_epoch", type_=_pieces.c.lease_epoch.type),
    bindparam("at_start", type_=_pieces.c.start.type),
    bindparam("with_text", type_=_pieces.c.text.type),
    _NOW,
).where(_STILL_MINE)
_ADD = (
    insert(_pieces)
    .from_select(["task_id", "lease_epoch", "start", "text", "written_at"], _VALUES)
    .returning(_pieces.c.start)
)


@dataclass(frozen=True)
class SharedText:
    """A part of a log, and where its first byte stood in all that was written."""

    start: int
    text: str


def share_log(session: Session, lease: Lease, start: int, text: str, *, keep_from: int) -> bool:
    """Add a part of the attempt's log, and drop those that begin before `keep_from`; False if the lease is lost."""
    # PostgreSQL's texts hold no zeros.
    told = {**lease_key(lease), "at_start": start, "with_text": text.replace("\0", "�")}
    if not fetch(session, _ADD, told):
        return False
    mine = (_pieces.c.task_id == lease.task_id, _pieces.c.lease_epoch == lease.epoch)
    session.execute(delete(_pieces).where(*mine, _pieces.c.start < keep_from))
    return True


def shared_log(session: Session, task_id: int, lease_epoch: int, after: int = -1) -> Sequence[SharedText]:
    """The parts of an attempt's log that begin after that byte, in their order."""
    mine = (LogPiece.task_id == task_id, LogPiece.lease_epoch == lease_epoch, LogPiece.start > after)
    rows = session.execute(select(LogPiece.start, LogPiece.text).where(*mine).order_by(LogPiece.start))
    return [SharedText(start, text) for start, text in rows]


def prune_logs(session: Session, keep_seconds: float, limit: int) -> int:
    """Remove old parts of logs, but for those of tasks that run; gives how many.  Call again until it is 0."""
    before = database_time(session) - timedelta(seconds=keep_seconds)
    runs = exists().where(_tasks.c.id == LogPiece.task_id, _tasks.c.state == State.RUNNING)
    columns = (LogPiece.task_id, LogPiece.lease_epoch, LogPiece.start)
    old = session.execute(select(*columns).where(LogPiece.written_at < before, ~runs).limit(limit)).all()
    for task_id, epoch, start in old:
        which = (LogPiece.task_id == task_id, LogPiece.lease_epoch == epoch, LogPiece.start == start)
        session.execute(delete(LogPiece).where(*which))
    return len(old)

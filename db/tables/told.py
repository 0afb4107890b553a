"""What operators are told: notifications, counts, logs."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Id, Table
from db.tables.jobs import Task
from db.types import enum_by_value, now
from pixmill.notifications import NotificationState

Table.registry.update_type_annotation_map({NotificationState: enum_by_value(NotificationState)})


class Notification(Table):
    """What operators are to be told by webhook: added in the transaction of what it tells of, sent by a scheduler."""

    __tablename__ = "notifications"
    # What every scheduler asks, again and again.
    __table_args__ = (
        UniqueConstraint("token"),
        Index("ix_notifications_state_next_try_at", "state", "next_try_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token: Mapped[str] = mapped_column(String(32))  # the same at each try, so that a receiver knows what it has got
    kind: Mapped[str] = mapped_column(String(64))  # of pixmill.notifications.KINDS, or a newer pixmill's
    subject: Mapped[str] = mapped_column(String(200))  # "job 7"
    facts: Mapped[dict[str, Any]]
    count: Mapped[int] = mapped_column(Integer, server_default="1")  # how many it stands for; `facts` are the last's
    state: Mapped[NotificationState]
    tries: Mapped[int] = mapped_column(Integer, server_default="0")  # counts claims, and is never reset
    excused_tries: Mapped[int] = mapped_column(Integer, server_default="0")  # those before an operator's retry
    next_try_at: Mapped[datetime] = mapped_column(default=now())  # while it is tried: when that try counts as lost
    status: Mapped[int | None] = mapped_column(Integer)  # of the last answer, by HTTP
    error: Mapped[str | None] = mapped_column(Text)  # why the last try did not count
    added_at: Mapped[datetime] = mapped_column(default=now())
    wanted_at: Mapped[datetime] = mapped_column(
        default=now()
    )  # added, or retried by an operator: a day counts from here
    ended_at: Mapped[datetime | None]  # sent, given up or skipped


class Total(Table):
    """A count that only ever grows, whatever becomes of the rows that were counted; or how far these are counted."""

    __tablename__ = "totals"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    labels: Mapped[str] = mapped_column(String(400), primary_key=True)  # a JSON object, its keys in order
    value: Mapped[int]


class LogPiece(Table):
    """A part of the log of an attempt, for those who do not see its file."""

    __tablename__ = "log_pieces"
    __table_args__ = (Index("ix_log_pieces_written_at", "written_at"),)

    task_id: Mapped[int] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), primary_key=True)
    lease_epoch: Mapped[int] = mapped_column(primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)  # its first byte's place in all that was written
    text: Mapped[str] = mapped_column(Text)
    written_at: Mapped[datetime] = mapped_column(default=now())

"""What operators shall be told is a row of its own, added in the transaction of what it tells of.

A row is added wherever it happens, by workers and commands too, whose settings know nothing of a webhook. Whether it is
sent, and where to, is for the scheduler to say.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from db.corrupt import blank, sound_rows
from db.statements import insert_row, update_all
from db.tables.jobs import Job
from db.tables.told import Notification
from db.types import now
from db.workers import database_time
from pixmill.notifications import KINDS, NotificationState
from pixmill.states import FailureReason
from pixmill.times import write_time

LONGEST_TEXT = 1000  # letters of a fact, so that a body stays small
LONGEST_SUBJECT = 200

_notifications: Any = Notification.__table__
_jobs: Any = Job.__table__
_GATHERING = (
    _notifications.c.kind == bindparam("of_kind"),
    _notifications.c.subject == bindparam("of_subject"),
    _notifications.c.state == NotificationState.WAITING,
    _notifications.c.tries == 0,
)
_ONE_MORE = _notifications.c.count + 1


def tell(session: Session, kind: str, subject: str, facts: Mapping[str, Any]) -> None:
    """Let operators be told of something, if they ask for its kind; `subject` says whose it is, such as "job 7".

    Facts are JSON and times. Of a kind that is gathered, and a subject that is still to be told of, the row that waits
    counts one more; the caller holds a lock of the subject.
    """
    gathered = KINDS[kind].gather_seconds
    plain = {key: _plain(value) for key, value in facts.items()}
    subject = subject[:LONGEST_SUBJECT]
    if gathered:
        which = {"of_kind": kind, "of_subject": subject}
        more = {"count": _ONE_MORE, "facts": plain}
        if update_all(session, _notifications, _GATHERING, more, which, (_notifications.c.id,)):
            return
    row: dict[str, Any] = {"token": uuid.uuid4().hex, "kind": kind, "subject": subject, "facts": plain}
    row["state"] = NotificationState.WAITING
    if gathered:
        row["next_try_at"] = database_time(session) + timedelta(seconds=gathered)
    insert_row(session, _notifications, row)


def tell_failed(session: Session, job_id: int, reason: str | None, message: str | None) -> None:
    """Tell that a job has failed for good; one that only waited for a job that failed is of a kind of its own."""
    (job,) = sound_rows(session, _job_statement(), {"job_id": job_id}, blank(session, f"job {job_id}"))
    facts = {**job._asdict(), "job_id": job_id, "reason": reason, "message": message}
    kind = "job.never_ran" if reason == FailureReason.DEPENDENCY else "job.failed"
    tell(session, kind, f"job {job_id}", facts)


@cache
def _job_statement() -> "Select[Any]":
    columns = ("name", "kind", "queue", "labels", "user_name", "submitted_at", "started_at")
    finished = now().label("finished_at")
    return select(*(_jobs.c[name] for name in columns), finished).where(_jobs.c.id == bindparam("job_id"))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return write_time(value)
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[: LONGEST_TEXT - 1]}…"
    return value

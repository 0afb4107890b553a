"""Schedules whose last run did not come to be, or failed."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from cli.doctor.findings import Finding, ok, warning
from client.schedules import overview, trouble

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

PART = "schedules"


def examine_schedules(session: "Session", at: datetime) -> Iterator[Finding]:
    """A line for all, and one for each that needs attention; nothing where there are none."""
    from db.schedules import schedule_lines

    lines = schedule_lines(session)
    if lines:
        yield ok(PART, overview(lines, at))
    for line in lines:
        if (text := trouble(line)) is not None:
            yield warning(PART, text, f"pixmill schedule history {line.schedule.name}")

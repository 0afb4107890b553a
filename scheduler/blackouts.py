"""Windows in which a schedule starts nothing, by the clocks of its zone."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pixmill.errors import UserError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(r"(?:([A-Za-z,-]+) +)?(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_DATES = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.\.(\d{4}-\d{2}-\d{2}))?")
_A_DAY = 24 * 60


@dataclass(frozen=True)
class Weekly:
    """From one minute of the day until before another; one that ends earlier than it begins ends on the next day."""

    days: frozenset[int]  # on which it begins; Monday is 0
    begin: int
    end: int

    def covers(self, local: datetime) -> bool:
        """Whether a moment, as the zone's clocks show it, lies within."""
        minute, today = 60 * local.hour + local.minute, local.weekday()
        if self.begin < self.end:
            return today in self.days and self.begin <= minute < self.end
        yesterday = (local - timedelta(days=1)).weekday()
        return (today in self.days and minute >= self.begin) or (yesterday in self.days and minute < self.end)


@dataclass(frozen=True)
class Dates:
    """Whole days, the last one included."""

    first: date
    last: date

    def covers(self, local: datetime) -> bool:
        """Whether a moment, as the zone's clocks show it, lies within."""
        return self.first <= local.date() <= self.last


Blackout = Weekly | Dates


def parse_blackout(text: str) -> Blackout:
    """A window of a week, or days of the calendar.  Raises UserError.

    >>> parse_blackout("Mon-Fri 08:00-18:00").covers(datetime(2026, 11, 23, 17, 59))
    True
    >>> parse_blackout("22:00-06:00").covers(datetime(2026, 11, 23, 6, 0))
    False
    >>> parse_blackout("2026-12-24..2027-01-02").covers(datetime(2027, 1, 2, 23, 0))
    True
    """
    try:
        if weekly := _WEEKLY.fullmatch(text.strip()):
            return _weekly(*weekly.groups())
        if dates := _DATES.fullmatch(text.strip()):
            return _dates(dates[1], dates[2] or dates[1])
    except ValueError:
        pass
    raise UserError(
        f"blackout {text!r} cannot be read",
        hint="write it like 'Mon-Fri 08:00-18:00', 22:00-06:00, 2026-12-24 or 2026-12-24..2027-01-02",
    )


def _weekly(days: str | None, *clock: str) -> Weekly:
    hour, minute, end_hour, end_minute = map(int, clock)
    begin, end = 60 * hour + minute, 60 * end_hour + end_minute
    if begin >= _A_DAY or end > _A_DAY or max(minute, end_minute) > 59 or begin == end:
        raise ValueError(clock)
    return Weekly(frozenset(range(7)) if days is None else _weekdays(days), begin, end)


def _weekdays(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def _dates(first: str, last: str) -> Dates:
    found = Dates(date.fromisoformat(first), date.fromisoformat(last))
    if found.last < found.first:
        raise ValueError(last)
    return found

"""The times of a cron expression in a time zone.

cronsim has the manners of Debian's cron where clocks change. An expression with a fixed hour and minute runs once a
day: in spring, a time that does not exist becomes the first one that does; in autumn, of a time that comes twice the
first one counts. One whose hour or minute begins with `*` follows the real hours, and so has both passes of the one
that comes twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from pixmill.errors import UserError
from pixmill.names import did_you_mean

FIELDS = 5  # minute hour day-of-month month day-of-week
LONGEST = 200  # characters
# What cronsim and zoneinfo raise over texts that nobody has checked: a zone may name a folder, or nothing.
UNREADABLE = (CronSimError, ValueError, LookupError, OSError)


@dataclass(frozen=True)
class Cron:
    """An expression that was read, in a zone that there is."""

    expression: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """The first time after an aware moment, in the zone; None if there is none within fifty years.

        >>> Cron("30 2 * * *", ZoneInfo("Europe/Zurich")).after(datetime(2026, 3, 28, 12, tzinfo=UTC)).isoformat()
        '2026-03-29T03:00:00+02:00'
        """
        # In the second pass of a repeated hour cronsim goes on from the first one, which is over.
        return next((time for time in self._from(moment) if time.astimezone(UTC) > moment), None)

    def following(self, moment: datetime, count: int) -> list[datetime]:
        """The next `count` times after a moment, in the zone; fewer if there are no more."""
        times: list[datetime] = []
        while len(times) < count and (found := self.after(times[-1].astimezone(UTC) if times else moment)):
            times.append(found)
        return times

    def local(self, moment: datetime) -> datetime:
        """The moment as the zone's clocks show it."""
        return moment.astimezone(self.zone)

    def _from(self, moment: datetime) -> Iterator[datetime]:
        return CronSim(self.expression, moment.astimezone(self.zone))


@cache
def read_cron(expression: str, zone: str) -> Cron:
    """One that `parse_cron` has found to be fine before.  Raises one of UNREADABLE if it was changed since."""
    CronSim(expression, datetime.now(UTC))
    return Cron(expression, ZoneInfo(zone))


def parse_cron(expression: str, zone: str) -> Cron:
    """Read an expression of five fields, and a zone by its IANA name.

    Raises UserError for one that cannot be read or never comes, and for a zone that there is not.
    """
    if zone not in available_timezones():
        raise UserError(f"there is no time zone {zone!r}", hint=_zone_hint(zone))
    fields = expression.split()
    if len(fields) != FIELDS or len(expression) > LONGEST:
        found = f"has {len(fields)} fields" if len(fields) != FIELDS else f"is longer than {LONGEST} characters"
        raise _unreadable(expression, f"{found}; five are read: minute hour day month weekday")
    cron = Cron(" ".join(fields), ZoneInfo(zone))
    try:
        first = cron.after(datetime.now(UTC))
    except CronSimError as error:
        if all(_is_readable(field, place) for place, field in enumerate(fields)):
            raise _never(expression) from None
        raise _unreadable(expression, str(error).lower()) from None
    if first is None:
        raise _never(expression)
    return cron


def _is_readable(field: str, place: int) -> bool:
    """Whether a field is fine in itself, whatever the others say."""
    try:
        CronSim(" ".join(field if each == place else "*" for each in range(FIELDS)), datetime.now(UTC))
    except CronSimError:
        return False
    return True


def _never(expression: str) -> UserError:
    return UserError(f"cron {expression!r} never comes: none of its months has such a day", hint="choose another day")


def _unreadable(expression: str, why: str) -> UserError:
    return UserError(f"cron {expression!r} cannot be read: {why}", hint="every night at two: --cron '0 2 * * *'")


def _zone_hint(zone: str) -> str:
    names = {name.lower(): name for name in available_timezones()}
    close = did_you_mean(zone.lower(), names)
    if close is None:
        return "name it as in the IANA list: Europe/Zurich, America/New_York, UTC"
    return f"did you mean {names[close]!r}?"

import re
from datetime import UTC, datetime

import pytest

from pixmill.errors import UserError
from scheduler.blackouts import parse_blackout
from scheduler.cron import parse_cron

ZURICH = "Europe/Zurich"
SPRING, AUTUMN = "2026-03-28T23:00:00+00:00", "2026-10-24T22:00:00+00:00"  # midnight before the clocks change


@pytest.mark.parametrize(
    ("expression", "midnight", "times"),
    [
        # A fixed time that does not exist becomes the first one that does.
        ("30 2 * * *", SPRING, ["29T03:00+02:00", "30T02:30+02:00"]),
        ("0,30 2 * * *", SPRING, ["29T03:00+02:00", "30T02:00+02:00"]),
        ("0 2,3 * * *", SPRING, ["29T03:00+02:00", "30T02:00+02:00"]),
        ("30 1 * * *", SPRING, ["29T01:30+01:00", "30T01:30+02:00"]),
        # With a star in minute or hour it is the real hours that count, and there is none at two.
        ("0 * * * *", SPRING, ["29T01:00+01:00", "29T03:00+02:00", "29T04:00+02:00"]),
        ("*/30 2 * * *", SPRING, ["30T02:00+02:00", "30T02:30+02:00"]),
        # Of a fixed time that comes twice the first one counts.
        ("30 2 * * *", AUTUMN, ["25T02:30+02:00", "26T02:30+01:00"]),
        ("0 2,3 * * *", AUTUMN, ["25T02:00+02:00", "25T03:00+01:00", "26T02:00+01:00"]),
        ("0 * * * *", AUTUMN, ["25T01:00+02:00", "25T02:00+02:00", "25T02:00+01:00", "25T03:00+01:00"]),
        ("*/30 2 * * *", AUTUMN, ["25T02:00+02:00", "25T02:30+02:00", "25T02:00+01:00", "25T02:30+01:00"]),
    ],
)
def test_times_where_the_clocks_change(expression: str, midnight: str, times: list[str]) -> None:
    found = parse_cron(expression, ZURICH).following(datetime.fromisoformat(midnight), len(times))
    assert [f"{time:%dT%H:%M}{time.isoformat()[-6:]}" for time in found] == times


def test_in_the_second_pass_of_an_hour_no_time_of_the_first_one_comes_back() -> None:
    second_pass = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 for the second time
    following = parse_cron("30 2 * * *", ZURICH).after(second_pass)
    assert following is not None
    assert following.isoformat() == "2026-10-26T02:30:00+01:00"


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 2,4 *", "0 0 */31 2 MON#5"])
def test_what_never_comes_is_refused(expression: str) -> None:
    with pytest.raises(UserError, match="never comes"):
        parse_cron(expression, "UTC")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("@daily", "has 1 fields; five are read"),
        ("0 0 2 * * *", "has 6 fields"),
        ("", "has 0 fields"),
        ("0 25 * * *", "cannot be read: bad hour"),
        ("0 2 32 * *", "cannot be read: bad day-of-month"),
        ("0 2 * * MOON", "cannot be read: bad day-of-week"),
        (f"{','.join(map(str, range(60)))} {','.join(map(str, range(24)))} * * *", "longer than 200"),
    ],
)
def test_what_cannot_be_read_is_refused(expression: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_cron(expression, "UTC")


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Europe/Zurch", "did you mean 'Europe/Zurich'[?]"),
        ("europe/zurich", "did you mean 'Europe/Zurich'[?]"),
        ("xyzzy", "IANA"),
        ("Europe", "."),
        ("../UTC", "."),
    ],
)
def test_an_unknown_zone_is_refused(zone: str, hint: str) -> None:
    with pytest.raises(UserError, match="there is no time zone") as raised:
        parse_cron("0 2 * * *", zone)
    assert raised.value.hint is not None
    assert re.search(hint, raised.value.hint)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("Mon-Fri 08:00-18:00", "2026-11-23T08:00", "2026-11-22T08:00"),
        ("Mon-Fri 08:00-18:00", "2026-11-23T17:59", "2026-11-23T18:00"),
        ("Fri 22:00-06:00", "2026-11-28T05:59", "2026-11-27T05:59"),
        ("Sat-Mon,Wed 00:00-24:00", "2026-11-23T12:00", "2026-11-24T12:00"),
        ("2026-12-24", "2026-12-24T23:59", "2026-12-25T00:00"),
        ("2026-12-24..2027-01-02", "2027-01-02T12:00", "2027-01-03T00:00"),
    ],
)
def test_blackouts(text: str, inside: str, outside: str) -> None:
    blackout = parse_blackout(text)
    assert blackout.covers(datetime.fromisoformat(inside))
    assert not blackout.covers(datetime.fromisoformat(outside))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "always",
        "25:00-26:00",
        "08:00-08:00",
        "08:60-09:00",
        "Day 08:00-09:00",
        "2026-02-30",
        "2026-12-24..2026-12-23",
    ],
)
def test_a_blackout_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        parse_blackout(text)

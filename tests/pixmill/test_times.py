from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.times import parse_time, write_time

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001  hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=zones,
)


@given(moments)
def test_a_written_time_is_read_back_to_the_millisecond(moment: datetime) -> None:
    back = parse_time(write_time(moment))
    assert back.tzinfo is UTC
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)


@given(moments)
def test_any_zone_is_read_as_the_same_moment_in_utc(moment: datetime) -> None:
    assert parse_time(moment.isoformat()) == moment


@given(moments, moments)
def test_written_times_sort_like_the_moments(one: datetime, other: datetime) -> None:
    if write_time(one) < write_time(other):
        assert one < other


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-11-21T02:00:00", "no time zone"),
        ("2026-11-21", "no time zone"),
        ("tomorrow", "is not a time"),
        ("", "is not a time"),
        ("2026-02-30T00:00:00Z", "is not a time"),
        ("0001-01-01T00:00:00+14:00", "lies outside"),
        ("9999-12-31T23:59:59-14:00", "lies outside"),
    ],
)
def test_what_is_no_moment_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_time(text)

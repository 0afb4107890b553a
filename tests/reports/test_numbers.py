import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.errors import ReportError
from reports.numbers import (
    cell_text,
    count_text,
    duration_text,
    number_text,
    percent_text,
    size_text,
    utc_iso,
    utc_text,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1, "1"),
        (12345, "12,345"),
        (-7, "−7"),
        (0.5, "0.500"),
        (1234.5, "1,234"),
        (0.0001, "0.000100"),
        (1.23e-7, "1.23 × 10⁻⁷"),
        (4.5e20, "4.50 × 10²⁰"),
        (math.nan, "not a number"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_have_three_significant_digits_and_integers_all(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_float_can_be_written(value: float) -> None:
    for write in (number_text, count_text, percent_text):
        assert write(value)
        assert "-" not in write(value)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1500, "1.5k"), (2e6, "2M"), (3e9, "3G"), (5e12, "5T")]
)
def test_counts_are_shortened(value: float, text: str) -> None:
    assert count_text(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.9999, "1.0 s"),
        (59.99, "1 min"),
        (60, "1 min"),
        (61, "1 min 01 s"),
        (3600, "1 h"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations_carry_their_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (5e9, "5 GB"), (1e18, "1e+03 PB")]
)
def test_sizes_are_decimal(size: float, text: str) -> None:
    assert size_text(size) == text


def test_times_are_told_in_utc() -> None:
    noon_in_tokyo = datetime(2026, 3, 14, 12, 0, 1, tzinfo=timezone(timedelta(hours=9)))
    assert utc_text(noon_in_tokyo) == "2026-03-14 03:00:01 UTC"
    assert utc_iso(noon_in_tokyo) == "2026-03-14T03:00:01Z"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ReportError, match="has no time zone"):
        utc_text(datetime(2026, 3, 14, 12, 0, 1))  # noqa: DTZ001


def test_cells_show_every_kind_of_value() -> None:
    values = [None, True, 3, 0.25, "text", b"\xff\x00", [1, "a"], datetime(2026, 1, 1, tzinfo=UTC)]
    texts = ["–", "yes", "3", "0.250", "text", "ff00", "1, a", "2026-01-01 00:00:00 UTC"]
    assert [cell_text(value) for value in values] == texts

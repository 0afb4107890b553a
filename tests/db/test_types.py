from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import literal, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from db.engine import Database
from db.types import UtcTime, now
from db.workers import database_time
from tests import rows

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.integers(86_400, 7_000_000_000).flatmap(
    lambda second: zones.map(lambda zone: datetime.fromtimestamp(second, zone) + timedelta(microseconds=second % 997))
)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)


def test_the_databases_clock_is_utc_and_close_to_ours(database: Database) -> None:
    before = datetime.now(UTC)
    with database.read() as session:
        at = database_time(session)
    assert at.utcoffset() == timedelta(0)
    assert abs(at - before) < timedelta(seconds=5)


def test_the_clock_goes_on_inside_a_transaction_and_never_back(database: Database) -> None:
    with database.read() as session:
        first = database_time(session)
        times = [first]
        while times[-1] == first:
            times.append(database_time(session))
    assert times == sorted(times)


def test_a_stored_clock_time_sorts_with_one_that_we_wrote(database: Database) -> None:
    with database.read() as session:
        ours = database_time(session)
        later = ours + timedelta(milliseconds=500)
        assert session.scalar(select(now() < literal(later, UtcTime())))
        assert session.scalar(select(now() >= literal(ours, UtcTime())))


@SHARED
@given(moment=moments, other=moments)
def test_times_come_back_as_the_same_moment_and_compare_alike(
    database: Database, moment: datetime, other: datetime
) -> None:
    with database.read() as session:
        assert session.scalar(select(literal(moment, UtcTime()))) == moment
        less = literal(moment, UtcTime()) < literal(other, UtcTime())
        assert bool(session.scalar(select(less))) == (moment < other)


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with database.read() as session, pytest.raises(StatementError, match="has no time zone"):
        session.scalar(select(literal(datetime(2026, 1, 1), UtcTime())))  # noqa: DTZ001


@SHARED
@given(value=st.dictionaries(st.text(st.characters(exclude_characters="\0", codec="utf-8")), st.integers()))
def test_json_comes_back_as_it_went_in(database: Database, value: dict[str, int]) -> None:
    job_id = rows.add(database, spec=value)
    assert rows.job(database, job_id).spec == value


def test_an_unknown_state_is_refused_by_the_database_itself(database: Database) -> None:
    rows.add(database)
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(text("UPDATE tasks SET state = 'asleep'"))

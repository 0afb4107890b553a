"""A month of nights of one pipeline, over each change of the clocks, with all that may come between."""

import logging
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import func, select

from db.engine import Database
from db.tables.pipelines import PipelineRun, PipelineStep
from db.tables.told import Notification
from tests.scheduler.month import Month


class Night(NamedTuple):
    """What happens in a night, and what has become of it by the database."""

    happens: Callable[[Month], None]
    ended: str  # the run, or why there was none
    trained: str = ""  # version that training began with > version that it made
    by_hand: str = ""  # who moved the champion from > to
    promoted: str = ""  # by the run, from > to
    kept: str = ""  # why a judged model was not promoted

    def moves(self, day: date) -> list[str]:
        """Of the champion, in their order."""
        return [move for move in (self.by_hand, self.promoted and f"{day} {self.promoted}") if move]


MONTH = (
    Night(Month.good, "succeeded", ">1", promoted=">1"),
    Night(Month.good, "succeeded", "1>2", promoted="1>2"),
    Night(Month.unchanged, "skipped NoNewData"),
    Night(Month.no_better, "succeeded", "2>3", kept="the verdict of step gate is HOLD"),
    Night(Month.worse, "succeeded", "2>4", kept="the verdict of step gate is REJECT"),
    Night(Month.overslept, "succeeded", "2>5", promoted="2>5"),
    Night(Month.failing, "failed UserError"),
    Night(Month.good, "succeeded", "5>6", promoted="5>6"),
    Night(Month.frozen, "succeeded", "6>7", kept="model digits is frozen: tried"),
    Night(Month.good, "succeeded", "6>8", promoted="6>8"),
    Night(
        Month.moved,
        "succeeded",
        "8>9",
        by_hand="ann 8>7",
        kept="champion of digits stands for digits@7; expected was for digits@8: the alias has moved meanwhile",
    ),
    Night(Month.good, "succeeded", "7>10", promoted="7>10"),
    Night(
        Month.rolled_back,
        "succeeded",
        "10>11",
        by_hand="ann 10>7",
        kept="champion of digits stands for digits@7; expected was for digits@10: the alias has moved meanwhile",
    ),
    Night(Month.good, "succeeded", "7>12", promoted="7>12"),
    Night(Month.no_images, "failed UserError", "12>13", promoted="12>13"),
    Night(Month.out_of_order, "TooLate"),
    Night(Month.out_of_order, "TooLate"),
    Night(Month.overslept, "succeeded", "13>14", promoted="13>14"),
    Night(Month.long, "succeeded", "14>15", promoted="14>15"),
    Night(Month.after_long, "Overlap"),
    Night(Month.unchanged, "skipped NoNewData"),
    Night(Month.cancelled, "cancelled"),
    Night(Month.paused, "Paused"),
    Night(Month.failing_first, "succeeded", "15>16", promoted="15>16"),
    Night(Month.abandoned, "succeeded", "16>17", promoted="16>17"),
    Night(Month.twice, "succeeded", "17>18", promoted="17>18"),
    Night(Month.after_a_promotion_by_hand, "succeeded", "19>20", by_hand="ann 18>19", promoted="19>20"),
    Night(Month.no_better, "succeeded", "20>21", kept="the verdict of step gate is HOLD"),
    Night(Month.worse, "succeeded", "20>22", kept="the verdict of step gate is REJECT"),
    Night(Month.good, "succeeded", "20>23", promoted="20>23"),
)


class Change(NamedTuple):
    """A change of the clocks, and what 02:30 is by them before, on the day itself, and after."""

    day: date
    before: str
    then: str
    after: str

    def clock(self, day: date) -> str:
        """The time of the run of a day."""
        return self.then if day == self.day else self.before if day < self.day else self.after


SPRING = Change(date(2026, 3, 29), "02:30+0100", "03:00+0200", "02:30+0200")
AUTUMN = Change(date(2026, 10, 25), "02:30+0200", "02:30+0200", "02:30+0100")


@pytest.fixture(params=["sqlite_url", pytest.param("postgres_url", marks=pytest.mark.long)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A month takes seconds; that of PostgreSQL is run where there is time for it."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.mark.parametrize(
    ("change", "night"),
    [
        pytest.param(SPRING, 13, id="spring", marks=pytest.mark.long),
        pytest.param(AUTUMN, 13, id="autumn"),
        pytest.param(SPRING, 16, id="spring without a scheduler", marks=pytest.mark.long),
        pytest.param(AUTUMN, 17, id="autumn made up for", marks=pytest.mark.long),
    ],
)
def test_a_month_of_nights_has_exactly_the_expected_runs_and_promotions(
    database: Database, change: Change, night: int, caplog: pytest.LogCaptureFixture
) -> None:
    first = change.day - timedelta(days=night)
    month = Month(database, first)
    nights = {first + timedelta(days=number): planned for number, planned in enumerate(MONTH)}
    for day, planned in nights.items():
        month.day = day
        planned.happens(month)
    lines = month.lines
    assert [month.became(line) for line in lines if line.run.by_hand is None] == [
        (f"{day} {change.clock(day)}", planned.ended, planned.trained, planned.kept) for day, planned in nights.items()
    ]
    assert month.moves == [move for day, planned in nights.items() for move in planned.moves(day)]
    assert [job.name for job in month.jobs if job.kind == "generate"] == [
        f"digits-{day}" for day, planned in nights.items() if planned.promoted
    ], "only of what was promoted, and once"
    (by_hand,) = (line for line in lines if line.run.by_hand is not None)
    day = next(day for day, planned in nights.items() if planned.happens is Month.twice)
    kept = f"pipeline night has promoted digits@18 for {day}; one automatic promotion a day is allowed"
    assert month.became(by_hand)[1:] == ("succeeded", "18>19", kept)
    with database.read() as session:
        steps = session.scalar(select(func.count(PipelineStep.job_id)))
        runs = session.scalar(select(func.count(PipelineRun.id)))
        ends = session.scalar(select(func.count()).where(Notification.kind == "pipeline.ended"))
    assert (len(month.jobs), month.look()) == (steps, 0), "no job but those of steps"
    assert runs == sum(line.pipeline is not None for line in lines), "one for each time that has any"
    assert ends == runs + 1, "each was told once; one run has ended twice"
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    ("change", "awake", "outcome"),
    [
        (SPRING, "15:00:00+02:00", "submitted None"),
        (SPRING, "15:00:01+02:00", "skipped TooLate"),
        (AUTUMN, "13:30:00+01:00", "submitted None"),
        (AUTUMN, "13:30:01+01:00", "skipped TooLate"),
    ],
)
def test_twelve_hours_are_twelve_hours_also_when_the_clocks_change(
    database: Database, change: Change, awake: str, outcome: str
) -> None:
    month = Month(database, change.day)
    month.sleep_until(f"{change.day}T{awake}")
    month.look()
    assert [f"{run.outcome.value} {run.reason}" for run in month.runs] == [outcome]

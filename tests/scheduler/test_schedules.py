"""What becomes of the times of a schedule; two schedulers look at each of them at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from db.aliases import Deed
from db.control import cancel_job
from db.datasets import NewDataset, register_dataset, remove_dataset
from db.dependencies import doomed_jobs
from db.engine import Database
from db.schedules import get_schedule, pause_schedule, remove_schedule
from db.tables.jobs import Event, Job, JobDependency
from db.tables.schedules import Schedule, ScheduleRun
from db.versions import forget_version
from pixmill.errors import Conflict, NotFound, SpecError, UserError
from pixmill.schedules import Catchup, Overlap, RunOutcome
from pixmill.specs import GenerateSpec, TrainSpec
from pixmill.states import State
from scheduler.schedules import TIMES_AT_ONCE, Planner
from scheduler.timetable import resume, run_now
from tests import rows
from tests.db.test_registry import trained
from tests.rows import act
from tests.scheduler.nights import NAME, Nights


def test_a_spring_of_nights_has_one_run_each(database: Database) -> None:
    nights = Nights(database, "2026-03-16T12:00+01:00")
    nights.add()
    nights.look_until("2026-04-12T12:00+02:00")
    winter = [f"03-{day} 02:30+0100 run" for day in range(17, 29)]
    summer = [f"03-{day} 02:30+0200 run" for day in (30, 31)] + [f"04-{day:02} 02:30+0200 run" for day in range(1, 13)]
    assert nights.story == [*winter, "03-29 03:00+0200 run", *summer]
    assert len(nights.jobs) == len(nights.runs)


def test_an_autumn_of_nights_with_every_fault_has_exactly_the_expected_runs(database: Database) -> None:
    cats = {"image_size": 8, "channels": 1, "images": 2, "fingerprint": "f" * 64, "content_fingerprint": "c" * 64}
    dataset = NewDataset(name="cats", source="folder:/c", on_bad_image="fail", description=cats, user_name="ann")
    act(database, register_dataset, dataset)
    nights = Nights(database, "2026-10-12T12:00+02:00")
    nights.add(spec=TrainSpec(model="vae", dataset="cats"), blackouts=("2026-10-28",))
    nights.look_until("2026-10-15T12:00+02:00")
    nights.sleep_until("2026-10-16T09:00+02:00")  # over the tick
    nights.look_until("2026-10-17T12:00+02:00")
    act(database, remove_dataset, "cats", user_name="ann")
    nights.look_until("2026-10-18T12:00+02:00")
    act(database, register_dataset, dataset)
    nights.look_until("2026-10-19T12:00+02:00")
    nights.sleep_until("2026-10-22T12:00+02:00")  # three days
    nights.look_until("2026-10-29T12:00+01:00", ended=False)
    assert nights.story == [
        *(f"10-{day} 02:30+0200 run" for day in range(13, 18)),
        "10-18 02:30+0200 DatasetError",
        "10-19 02:30+0200 run",
        "10-20 02:30+0200 TooLate",
        "10-21 02:30+0200 TooLate",
        "10-22 02:30+0200 run",
        "10-23 02:30+0200 Overlap",
        "10-24 02:30+0200 Overlap",
        "10-25 02:30+0200 Overlap",
        "10-26 02:30+0100 Overlap",
        "10-27 02:30+0100 Overlap",
        "10-28 02:30+0100 Blackout",
        "10-29 02:30+0100 Overlap",
    ]
    refused = nights.runs[5]
    assert (refused.outcome, refused.job_id) == (RunOutcome.REFUSED, None)
    assert "'cats'" in str(refused.message)
    assert nights.runs[10].message == "job 7 of an earlier run has not ended"


@pytest.mark.parametrize(
    ("catchup", "deadline", "outcomes"),
    [
        (Catchup.NONE, None, ["TooLate", "TooLate", "TooLate"]),
        (Catchup.LATEST, None, ["TooLate", "TooLate", "run"]),
        (Catchup.LATEST, 7 * 86_400.0, ["Superseded", "Superseded", "run"]),
        (Catchup.LATEST, 3600.0, ["TooLate", "TooLate", "TooLate"]),
        (Catchup.ALL, None, ["TooLate", "TooLate", "run"]),
        (Catchup.ALL, 7 * 86_400.0, ["run", "run", "run"]),
    ],
)
def test_after_three_days_without_a_scheduler_the_policy_decides(
    database: Database, catchup: Catchup, deadline: float | None, outcomes: list[str]
) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add(catchup=catchup, deadline_seconds=deadline)
    nights.sleep_until("2026-11-04T06:00+01:00")
    assert nights.look() == outcomes.count("run")
    assert nights.look() == 0
    assert nights.story == [f"11-{day:02} 02:30+0100 {what}" for day, what in zip(range(2, 5), outcomes, strict=True)]
    nights.end_jobs()
    nights.sleep_until("2026-11-05T02:30:30+01:00")
    assert nights.look() == 1, "on time again, whatever the policy"


def test_a_run_is_not_given_up_for_one_that_a_blackout_will_skip(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add("0 1,2,8,9 * * *", blackouts=("08:00-10:00",))
    nights.sleep_until("2026-11-02T11:00+01:00")
    assert nights.look() == 1
    assert [line.split()[-1] for line in nights.story] == ["Superseded", "run", "Blackout", "Blackout"]


def test_runs_of_a_queue_wait_for_one_another(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add(overlap=Overlap.QUEUE)
    nights.look_until("2026-11-04T12:00+01:00", ended=False)
    with database.read() as session:
        edges = session.execute(select(JobDependency.job_id, JobDependency.parent_id, JobDependency.any_outcome)).all()
        assert doomed_jobs(session) == []
    assert sorted(map(tuple, edges)) == [(2, 1, True), (3, 1, True), (3, 2, True)]


def test_a_run_may_cancel_the_previous_one(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add(overlap=Overlap.CANCEL_PREVIOUS)
    nights.look_until("2026-11-04T12:00+01:00", ended=False)
    assert [job.state for job in nights.jobs] == [State.CANCELLED, State.CANCELLED, State.PENDING]
    assert nights.jobs[0].message == "the run of 2026-11-03T02:30:00+01:00 takes over"


def test_a_previous_job_that_ends_while_it_is_to_be_cancelled_is_no_obstacle(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add(overlap=Overlap.CANCEL_PREVIOUS)
    nights.look_until("2026-11-02T12:00+01:00", ended=False)
    nights.sleep_until("2026-11-03T02:30+01:00")
    with nights.meanwhile() as session:
        cancel_job(session, 1, actor="bob")
    assert nights.story == ["11-02 02:30+0100 run", "11-03 02:30+0100 run"]


def test_a_run_that_is_refused_cancels_nothing(database: Database) -> None:
    trained(database)
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add(spec=GenerateSpec(model="digits", n=3), overlap=Overlap.CANCEL_PREVIOUS)
    nights.look_until("2026-11-02T12:00+01:00", ended=False)
    trained(database)
    nights.sleep_until("2026-11-03T02:30+01:00")
    with nights.meanwhile() as session:
        forget_version(session, "digits@2", Deed(actor="bob"))
    refused = nights.runs[1].outcome is RunOutcome.REFUSED
    assert refused != database.is_sqlite, "there the removal has ended before the scheduler looks for the newest"
    (previous,) = (job for job in nights.jobs if job.id == nights.runs[0].job_id)
    assert previous.state is (State.PENDING if refused else State.CANCELLED)


def test_a_run_and_a_removal_at_once_leave_no_job_without_its_model(database: Database) -> None:
    trained(database)
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add(spec=GenerateSpec(model="digits", n=3))
    nights.sleep_until("2026-11-02T02:30+01:00")
    with nights.meanwhile() as session:
        forget_version(session, "digits@1", Deed(actor="bob"))
    (run,) = nights.runs
    assert (run.outcome, run.job_id) == (RunOutcome.REFUSED, None)


def test_the_logical_time_reaches_the_job(database: Database) -> None:
    nights = Nights(database, "2026-10-24T12:00+02:00")
    nights.add(job_name="digits-{date}")
    nights.sleep_until("2026-10-25T04:00+01:00")
    nights.look()
    (job,) = nights.jobs
    assert job.name == "digits-2026-10-25"
    assert job.labels == {"schedule": NAME, "scheduled_for": "2026-10-25T02:30:00+02:00"}
    assert nights.runs[0].job_id == job.id
    assert nights.runs[0].scheduled_for == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_what_falls_into_a_pause_is_skipped_and_not_made_up_for(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add()
    assert act(database, pause_schedule, NAME, actor="ann", why="holidays")
    nights.look_until("2026-11-03T04:00+01:00")
    assert resume(database, NAME, actor="ann", outputs=None, clock=nights.clock)
    nights.look_until("2026-11-04T12:00+01:00")
    assert nights.story == ["11-02 02:30+0100 Paused", "11-03 02:30+0100 Paused", "11-04 02:30+0100 run"]
    assert nights.runs[0].message == "holidays"


def test_what_no_scheduler_saw_of_a_pause_is_not_made_up_for_either(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add("0 * * * *", deadline_seconds=7 * 86_400.0)
    act(database, pause_schedule, NAME, actor="ann", why="holidays")
    nights.sleep_until("2026-11-04T12:00+01:00")
    assert resume(database, NAME, actor="ann", outputs=None, clock=nights.clock)
    assert not resume(database, NAME, actor="ann", outputs=None, clock=nights.clock)
    assert {run.reason for run in nights.runs} == {"Paused"}
    assert len(nights.runs) == 72 > TIMES_AT_ONCE
    assert nights.look() == 0
    nights.sleep_until("2026-11-04T13:00+01:00")
    assert nights.look() == 1


def test_a_run_by_hand_is_outside_of_the_plan(database: Database) -> None:
    nights = Nights(database, "2026-11-02T02:30+01:00")
    nights.add()
    act(database, pause_schedule, NAME, actor="ann", why=None)
    planned = nights.schedule.next_run_at
    assert act(database, run_now, NAME, nights.at, actor="bob", outputs=None).job_id == 1
    assert nights.schedule.next_run_at == planned
    (run,) = nights.runs
    assert (run.by_hand, run.outcome, run.job_id) == ("bob", RunOutcome.SUBMITTED, 1)
    assert nights.jobs[0].user_name == "ann"
    with pytest.raises(Conflict, match="job 1 of an earlier run has not ended"):
        act(database, run_now, NAME, nights.at, actor="bob", outputs=None)
    assert len(nights.runs) == 1
    with pytest.raises(NotFound, match="no schedule 'nightyl'"):
        act(database, run_now, "nightyl", nights.at, actor="bob", outputs=None)


def test_jitter_delays_by_the_same_time_whoever_asks(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add(jitter_seconds=7200.0)
    schedule = nights.schedule
    assert schedule.next_for == datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
    assert schedule.next_run_at is not None
    assert timedelta(0) < schedule.next_run_at - schedule.next_for < timedelta(hours=2)
    nights.at = schedule.next_run_at - timedelta(seconds=1)
    assert nights.look() == 0
    assert nights.planners[0].seconds_to_next == 1.0
    nights.at = schedule.next_run_at
    assert nights.look() == 1
    assert nights.runs[0].scheduled_for == schedule.next_for


def test_many_missed_times_are_worked_off_in_parts(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add("* * * * *", catchup=Catchup.ALL, deadline_seconds=60.0)
    nights.at += timedelta(minutes=TIMES_AT_ONCE + 1)
    first = nights.look()
    assert nights.planners[0].seconds_to_next == 0.0
    assert first + nights.look() == 2, "the last two are not too late"
    assert len(nights.runs) == TIMES_AT_ONCE + 1
    assert nights.planners[0].start_due() == 0
    assert nights.planners[0].seconds_to_next == 60.0


def test_a_queue_of_runs_does_not_grow_without_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.scheduled.MOST_QUEUED", 2)
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add(overlap=Overlap.QUEUE)
    nights.look_until("2026-11-04T12:00+01:00", ended=False)
    assert [line.split()[-1] for line in nights.story] == ["run", "run", "Overlap"]


def test_a_clock_that_goes_back_starts_nothing_twice(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add()
    nights.sleep_until("2026-11-02T02:31+01:00")
    assert nights.look() == 1
    nights.end_jobs()
    nights.sleep_until("2026-11-01T12:00+01:00")
    assert nights.look() == 0
    nights.sleep_until("2026-11-02T02:30+01:00")
    assert nights.look() == 0


def test_what_is_removed_takes_its_history_along_and_leaves_its_jobs(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add()
    nights.look_until("2026-11-02T12:00+01:00")
    act(database, remove_schedule, NAME, actor="ann")
    with database.read() as session:
        assert session.scalar(select(func.count(ScheduleRun.id))) == 0
        assert session.scalar(select(func.count(Job.id))) == 1
        with pytest.raises(NotFound, match="no schedule 'nightly'"):
            get_schedule(session, NAME)


def test_the_same_once_more_changes_nothing_and_another_is_refused(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    nights.add()
    nights.add()
    with pytest.raises(Conflict, match="another schedule 'nightly': cron, overlap differ"):
        nights.add("30 3 * * *", overlap=Overlap.QUEUE)


def test_files_that_cannot_go_to_a_bucket_are_refused_at_every_door(database: Database) -> None:
    trained(database)
    files = GenerateSpec(model="digits", n=3, format="files")
    nights = Nights(database, "2026-11-01T12:00+01:00")
    with pytest.raises(SpecError, match="format files is a folder"):
        nights.add(spec=files, outputs="s3://pictures/made")
    nights.add(spec=files)
    with pytest.raises(SpecError, match="format files is a folder"):
        act(database, run_now, NAME, nights.at, actor="bob", outputs="s3://pictures/made")
    nights.sleep_until("2026-11-02T02:30+01:00")
    Planner(database, nights.clock, outputs="s3://pictures/made").start_due()  # the setting has changed since
    assert nights.story == ["11-02 02:30+0100 SpecError"]


def test_of_two_who_add_the_same_at_once_one_is_told_that_it_was_there(database: Database) -> None:
    nights = Nights(database, "2026-11-01T12:00+01:00")
    found = rows.run_all(*[nights.add] * 4)
    assert sorted(found) == [False, False, False, True]
    with database.read() as session:
        assert session.scalar(select(func.count(Event.id)).where(Event.action == "add_schedule")) == 1


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"catchup": Catchup.ALL, "overlap": Overlap.SKIP}, "--catchup all and --overlap skip"),
        ({"catchup": Catchup.NONE, "deadline_seconds": 3600.0}, "--deadline with --catchup none"),
        ({"deadline_seconds": 1.0}, "--deadline is 1 s"),
        ({"jitter_seconds": 1e9}, "--jitter is 1e[+]09 s"),
        ({"cron": "0 2,9 * * *", "jitter_seconds": 7 * 3600.0}, r"--jitter is 25200 s, .* that are 7:00:00 apart"),
        ({"blackouts": ("sometimes",)}, "blackout 'sometimes'"),
    ],
)
def test_terms_that_do_not_fit_are_refused(sqlite_url: str, terms: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Nights.add(object.__new__(Nights), **terms)


def test_a_row_that_nobody_can_read_stops_no_other_schedule(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    nights = Nights(database, "2026-03-16T12:00+01:00")
    nights.add()
    nights.add(name="broken")
    with database.write() as session:
        session.execute(update(Schedule).where(Schedule.name == "broken").values(cron="whenever"))
    nights.look_until("2026-03-18T12:00+01:00")
    assert nights.story == ["03-17 02:30+0100 run", "03-18 02:30+0100 run"]
    (told,) = [record for record in caplog.records if record.levelname == "ERROR"]  # not at every look
    assert told.message == "schedule 2 cannot be read"
    assert "schedule 'broken' has cron 'whenever'" in told.__dict__["reason"]
    assert told.exc_info is None
    assert [planner.seconds_to_next for planner in nights.planners] == [None, None]

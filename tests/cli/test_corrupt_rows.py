"""Rows that somebody else has written: one line, whatever is asked, and nothing outside of the home is touched."""

import sqlite3
from pathlib import Path

import pytest

from db.listing import JobFilter, list_jobs, next_jobs
from tests.cli.running import Runner
from tests.cli.world import World

ROWS = {
    "a word that is none": ("UPDATE jobs SET state = 'exploded'", "one of"),
    "a time that is none": ("UPDATE jobs SET submitted_at = 'yesterday'", "a time"),
    "no JSON": ("UPDATE jobs SET spec = '{'", "an object of JSON"),
    "deep JSON": ("UPDATE jobs SET spec = '" + "[" * 3000 + "'", "an object of JSON"),
    "a list for an object": ("UPDATE jobs SET options = '[1]'", "an object of JSON"),
}


@pytest.mark.parametrize(("statement", "words"), ROWS.values(), ids=ROWS.keys())
def test_a_row_that_no_pixmill_has_written_is_told_in_a_line(
    world: World, run: Runner, statement: str, words: str
) -> None:
    world.train(name="night")
    corrupt(world, statement)
    for command in (("job", "show", "1"), ("ps", "--all")):
        found = run(*command)
        assert found.code == 1, command
        assert "the database holds" in found.err
        assert words in found.err
        assert "Traceback" not in found.err
        assert len(found.err) < 400


def test_a_job_whose_row_nobody_can_read_hides_no_other(world: World, run: Runner) -> None:
    jobs = [world.train(name=f"night-{number}") for number in range(3)]
    corrupt(world, f"UPDATE jobs SET labels = '[' WHERE id = {jobs[1]}")
    for command in (("ps",), ("ps", "--all", "-o", "csv")):
        found = run(*command)
        assert found.code == 1
        assert ["night-0" in found.out, "night-1" in found.out, "night-2" in found.out] == [True, False, True]
        assert f"error: job {jobs[1]} cannot be read: the database holds '['" in found.err


def test_a_row_that_nobody_can_read_ends_no_list_early(world: World) -> None:
    jobs = [world.train() for _number in range(6)]
    corrupt(world, f"UPDATE jobs SET labels = '[' WHERE id IN ({jobs[1]}, {jobs[4]})")
    sound = [job for job in jobs if job not in {jobs[1], jobs[4]}]
    with world.database.read() as session:
        assert [line.job.id for line in next_jobs(session, JobFilter(), 0, 2)] == sound[:2]
        assert [line.job.id for line in list_jobs(session, JobFilter(), 2)] == sound[-2:]
        assert [line.job.id for line in list_jobs(session, JobFilter(), None)] == sound


def test_a_folder_that_leads_out_is_refused_by_whoever_reads_it(world: World, run: Runner, tmp_path: Path) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    world.generated(worker)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "log.txt").write_text("the secret")
    corrupt(world, "UPDATE attempts SET folder = '../secret'", "UPDATE shards SET folder = '../secret'")
    before = sorted(tmp_path.rglob("*"))
    for command in ("logs 1", "output verify 2", "output query 2", "output export 2 copy", "output rebuild 2"):
        found = run(*command.split())
        assert "the secret" not in found.out + found.err
        assert "Traceback" not in found.err
        assert "unexpected" not in found.err, command
    assert "leads outside the storage root" in run("logs", "1").err
    strangers = [path for path in sorted(tmp_path.rglob("*")) if path not in before and world.home not in path.parents]
    assert strangers == []


def test_a_schedule_whose_times_nobody_can_read_says_so(world: World, run: Runner) -> None:
    assert run("schedule", "add", "nightly", "--cron", "0 2 * * *", "-f", "-", stdin="kind: ping\n").code == 0
    assert run("schedule", "pause", "nightly").code == 0
    for column, value in (("cron", "whenever"), ("zone", "Europe"), ("blackouts", '["at times"]')):
        corrupt(world, "UPDATE schedules SET next_run_at = '2020-01-01 02:00:00.000000', next_for = next_run_at")
        corrupt(world, "UPDATE schedules SET cron = '0 2 * * *', zone = 'UTC', blackouts = '[]'")
        corrupt(world, f"UPDATE schedules SET {column} = '{value}'")
        found = run("schedule", "resume", "nightly")
        assert found.code == 1, found
        assert "error: schedule 'nightly' has" in found.err
        assert value.strip('[]"') in found.err
        assert "pixmill schedule rm nightly" in found.err
        assert "Traceback" not in found.err


def corrupt(world: World, *statements: str) -> None:
    """Write past all that guards the rows."""
    world.database.dispose()
    connection = sqlite3.connect(world.home / "pixmill.db")
    connection.execute("PRAGMA ignore_check_constraints=ON")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()

"""A backup from before the last jobs is put back, while files are newer: what is told, what stays."""

import shutil
from pathlib import Path

import pytest

from cli.doctor.findings import Finding, Level
from cli.doctor.garbage import examine_garbage
from db.tables.fleet import Worker
from tests.cli.running import Runner
from tests.cli.world import World


class Restored:
    """What was there before and after the copy was made, and a world with the copy in place."""

    def __init__(self, home: Path, run: Runner) -> None:
        world = World(home)
        self.worker: Worker = world.worker()
        self.trained = world.trained(self.worker)
        self.made = world.generated(self.worker)
        self.pending = world.generate("digits-vae")
        copy = home.parent / "copy.db"
        assert run("db", "backup", copy).code == 0
        # What is lost: the data set of a job that waited by the copy, a model, and the data set of another job.
        world.finish_generating(self.worker, self.pending)
        lease = world.claim_by(self.worker, world.train(name="later"))
        (world.root / lease.folder / "model").mkdir()
        (world.root / lease.folder / "model/model.json").write_text("{}")
        world.succeed_training(lease, name="later")
        self.model = f"{lease.folder}/model"
        self.lost = world.generated(self.worker)
        world.database.dispose()
        for name in ("pixmill.db", "pixmill.db-wal", "pixmill.db-shm"):
            (home / name).unlink(missing_ok=True)
        shutil.copyfile(copy, home / "pixmill.db")
        self.world = World(home)


@pytest.fixture
def restored(home: Path, run: Runner) -> Restored:
    return Restored(home, run)


def timeline(restored: Restored) -> Finding:
    (found,) = [
        finding
        for finding in examine_garbage(restored.world.database, restored.world.settings)
        if finding.part == "timeline"
    ]
    return found


def test_the_doctor_tells_what_is_later_and_nothing_is_removed_until_somebody_says_why(
    restored: Restored, run: Runner
) -> None:
    told = timeline(restored)
    assert told.state is Level.PROBLEM
    assert f"the data set of job {restored.pending}, {restored.lost}" in told.detail
    assert restored.model in told.detail
    assert "pixmill db restored" in str(told.remedy)
    before = set(restored.world.root.rglob("*"))
    refused = run("gc", "run", "--grace", "0s", "-y")
    assert refused.code == 4
    assert "as if it had been restored from a copy; nothing was removed" in refused.err
    assert "db restored" in run("gc", "plan").err
    assert before == set(restored.world.root.rglob("*"))


def test_no_new_job_comes_near_the_files_of_a_lost_one(restored: Restored, run: Runner) -> None:
    """Whether anybody has said that the database was restored, or not."""
    world = restored.world
    job_id = world.generated(world.worker("cuda:0"), priority=10)
    assert job_id > restored.lost
    assert world.claim_by(world.worker("cuda:1"), restored.pending).epoch > 1  # beside what lies there
    assert run("output", "verify", "--folder", world.root / f"outputs/{restored.lost}").code == 0


def test_what_was_published_comes_back_or_stays(restored: Restored, run: Runner) -> None:
    world = restored.world
    told = run("db", "restored", "--dry-run")
    assert told.code == 0
    assert f"the data set of job {restored.pending} is whole: pixmill output rebuild {restored.pending}" in told.err
    assert f"job {restored.lost} is lost, its data set stays: pixmill dataset add NAME tar:" in told.err
    assert "has no version, and stays" in told.err
    assert timeline(restored).state is Level.PROBLEM

    rebuilt = run("output", "rebuild", restored.pending)
    assert rebuilt.code == 0, rebuilt.err
    done = run("db", "restored", "-y")
    assert done.code == 0, done.err
    assert timeline(restored).state is Level.OK
    assert run("gc", "run", "--grace", "0s", "-y").code == 0
    assert (world.root / restored.model / "model.json").is_file()
    assert run("output", "verify", "--folder", world.root / f"outputs/{restored.lost}").code == 0
    assert run("output", "verify", restored.made).code == 0
    assert restored.model in timeline(restored).detail

    # The job that waits runs to its end, on attempts above those on the disk.
    lease = world.claim_by(world.worker("cuda:0"), restored.pending)
    assert lease.epoch > 1


def test_an_acknowledgement_is_asked_for_and_recorded(restored: Restored, run: Runner) -> None:
    asked = run("db", "restored")
    assert asked.code == 2
    assert "nobody can be asked" in asked.err
    running = restored.world.claim(restored.world.worker("cuda:0"))
    done = run("db", "restored", "-y")
    assert f"waiting again: job {running.job_id}" in done.err
    assert "no file is later than the database" in run("db", "restored", "--dry-run").err


def test_a_copy_replaces_no_file_and_is_readable_by_its_owner_alone(run: Runner, world: World, tmp_path: Path) -> None:
    world.train()
    copy = tmp_path / "copy.db"
    assert run("db", "backup", copy).code == 0
    assert copy.stat().st_mode & 0o077 == 0
    again = run("db", "backup", copy)
    assert again.code == 4
    assert "is there already" in again.err
    assert run("db", "backup", tmp_path / "no/such/copy.db").code == 1
    assert list(tmp_path.glob(".copy*")) == []

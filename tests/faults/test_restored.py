"""A database that is put back from a copy while its workers live, and their files are newer than the copy."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url

from db.copying import back_up
from pixmill.specs import GenerateSpec, PingSpec
from pixmill.states import State
from tests.databases import administrate, cloned_postgresql
from tests.faults import rough
from tests.faults.rough import RoughLine
from tests.servers import postgres_binary
from tests.waiting import wait_until
from tests.worker.conftest import small_generate
from tests.worker.line import REPOSITORY

PATIENCE = 180.0  # seconds
UNKNOWN = 75  # exit status of a worker that the database does not know

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def put_back(line: RoughLine, server: URL, copy: Path) -> None:
    """Replace the database under everybody who is connected."""
    line.database.dispose()
    url = make_url(line.settings.database_url)
    drop = f"DROP DATABASE {url.database} WITH (FORCE)"
    administrate(server, drop, f"CREATE DATABASE {url.database} TEMPLATE template0")
    name = url.set(drivername="postgresql").render_as_string(hide_password=False)
    words = [str(postgres_binary("pg_restore")), "--no-owner", "--single-transaction", f"--dbname={name}", str(copy)]
    subprocess.run(words, check=True, capture_output=True)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pixmill(line: RoughLine, *words: object) -> "subprocess.CompletedProcess[str]":
    variables = {
        "PIXMILL_HOME": str(line.settings.home),
        "PIXMILL_DATABASE_URL": line.settings.database_url,
        "PIXMILL_BROKER_URL": line.settings.broker_url,
    }
    command = [sys.executable, "-m", "cli", *map(str, words)]
    return subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=120.0
    )


def test_living_workers_of_lost_rows_publish_nothing_and_what_was_published_stays(
    own_rough: Callable[..., RoughLine],
    postgres_server_url: URL,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rough, "JOB_SECONDS", PATIENCE)  # device processes start anew
    monkeypatch.setenv("PATH", f"{postgres_binary('pg_dump').parent}{os.pathsep}{os.environ['PATH']}")
    url = cloned_postgresql(postgres_server_url)
    line = own_rough(url.render_as_string(hide_password=False))
    root = line.settings.storage_root
    model = line.run(line.training(images=2_000, model="vae", options={}), name="pictures")
    waiting = line.submit(generate("pictures", seed=1), hold=True)
    copy = tmp_path / "copy"
    back_up(line.database, copy)

    # All of this is lost: a data set, one of a job that waited by the copy, a worker, and two jobs that run.
    line.release(waiting)
    assert line.wait(waiting) is State.SUCCEEDED, line.story(waiting)
    made = line.run(generate("pictures", seed=2))
    line.kill_worker()
    line.start()
    line.run(PingSpec())
    running = [line.submit(line.training(images=400_000)) for _ in range(2)]
    for job_id in running:
        line.wait_for_training(job_id)
    before = {job_id: hashes(root / f"outputs/{job_id}") for job_id in (waiting, made)}
    folders = {path.relative_to(root).as_posix() for path in root.glob("runs/*/*/*")}
    known = line.workers["second-worker"]
    unknown = line.worker
    assert known is not None
    assert unknown is not None

    put_back(line, postgres_server_url, copy)
    assert unknown.wait(PATIENCE) == UNKNOWN
    wait_until(lambda: "lease lost" in line.log("second-worker"), PATIENCE)
    assert known.poll() is None
    line.start()

    # Before anybody has said anything: new jobs run, far from the files of the lost ones.
    fresh = [line.run(generate("pictures", seed=3)), line.run(line.training(images=2_000))]
    assert min(fresh) > max(running)
    refused = pixmill(line, "gc", "run", "--grace", "0s", "-y")
    assert refused.returncode == 4, refused.stderr
    assert {job_id: hashes(root / f"outputs/{job_id}") for job_id in before} == before
    assert all((root / folder).is_dir() for folder in folders)

    rebuilt = pixmill(line, "output", "rebuild", waiting)
    assert rebuilt.returncode == 0, rebuilt.stderr
    said = pixmill(line, "db", "restored", "-y")
    assert said.returncode == 0, said.stderr
    assert f"job {made} is lost, its data set stays" in said.stderr
    line.release(waiting)
    assert line.wait(waiting) is State.SUCCEEDED, line.story(waiting)
    assert all(attempt.folder not in folders for attempt in line.attempts(waiting))
    cleared = pixmill(line, "gc", "run", "--grace", "0s", "-y")
    assert cleared.returncode == 0, cleared.stderr
    verified = pixmill(line, "output", "verify", waiting)
    assert verified.returncode == 0, verified.stdout
    kept = (root / f"outputs/{made}").rename(tmp_path / "kept")  # of no job any more: whoever wants it takes it
    assert hashes(kept) == before[made]
    shards = {name: sha256 for name, sha256 in before[waiting].items() if name.startswith("shard-")}
    assert shards.items() <= hashes(root / f"outputs/{waiting}").items()
    assert line.job(model).state is State.SUCCEEDED
    assert "no file is later than the database" in pixmill(line, "db", "restored", "--dry-run").stderr


def generate(model: str, seed: int) -> GenerateSpec:
    return small_generate(model, seed=seed)

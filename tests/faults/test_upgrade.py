"""An upgrade under load: workers and scheduler of the release before run jobs while the schema is migrated.

Their source comes out of the history of this repository: the commit before the newest migration was added.
"""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import text

from db.schema import HEAD, SchemaStatus, schema_state
from pixmill.specs import PingSpec
from pixmill.states import State
from tests.databases import cloned_postgresql
from tests.faults.checker import check_everything
from tests.faults.rough import draw_pictures
from tests.servers import Valkey
from tests.waiting import wait_until
from tests.worker.conftest import long_train
from tests.worker.line import JOB_SECONDS, REPOSITORY, Line

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the release before: the last that knows one migration less."""
    (newest,) = (REPOSITORY / "db/migrations/versions").glob(f"{HEAD}_*.py")
    try:
        added = git("log", "--diff-filter=A", "--format=%H", "--", str(newest.relative_to(REPOSITORY))).split()
        # Not committed yet: then the last commit knows nothing of it.
        commit = f"{added[-1].decode()}^" if added else "HEAD"
        source = git("archive", commit)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the source of the release before is not at hand, as there is no history of git here: {error}")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(source)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class Mixed(Line):
    """A line whose processes are of one release and then of another."""

    def pixmill(self, *words: object, source: Path) -> "subprocess.CompletedProcess[str]":
        """The command line of a release."""
        variables = {f"PIXMILL_{key.replace('.', '_')}".upper(): str(value) for key, value in self._flags.items()}
        command = [sys.executable, "-m", "cli", *map(str, words)]
        environment = {**os.environ, **variables, "PYTHONPATH": str(source)}
        return subprocess.run(
            command, cwd=source, env=environment, capture_output=True, text=True, check=False, timeout=120.0
        )

    def start_from(self, source: Path) -> None:
        """Start scheduler and worker of a release; returns when the worker can take a task."""
        self.source = source
        self.variables |= {name: {"PYTHONPATH": str(source)} for name in ("scheduler", "worker")}
        self.start()

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """Rows, in words that every release understands."""
        with self.database.read() as session:
            return [tuple(row) for row in session.execute(text(statement))]

    def state_of(self, job_id: int) -> str:
        ((state,),) = self.ask(f"SELECT state FROM jobs WHERE id = {job_id}")
        return str(state)

    def submit_by(self, source: Path, document: Path) -> int:
        done = self.pixmill("submit", "-f", document, "-q", source=source)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)


@pytest.fixture(params=["sqlite", "postgresql"])
def mixed(request: pytest.FixtureRequest, tmp_path: Path, line_broker: Valkey, before: Path) -> Iterator[Mixed]:
    """A line of the release before, its database of that release's schema."""
    home = tmp_path / "home"
    home.mkdir()
    url = f"sqlite:///{home / 'pixmill.db'}"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server_url")
        url = cloned_postgresql(server, "template0").render_as_string(hide_password=False)
    line = Mixed(home, url, line_broker.own_part())
    made = line.pixmill("db", "upgrade", source=before)
    assert made.returncode == 0, made.stderr
    assert schema_state(line.database).status is SchemaStatus.BEHIND
    yield line
    line.stop()


def write(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_workers_of_the_release_before_end_their_jobs_beside_the_new_schema(
    mixed: Mixed, before: Path, tmp_path: Path
) -> None:
    line = mixed
    draw_pictures(tmp_path / "pictures")
    spec = long_train(images=60_000, dataset=f"folder:{tmp_path / 'pictures'}").model_dump(mode="json")
    training, ping = write(tmp_path / "train.json", spec), write(tmp_path / "ping.json", PingSpec().model_dump())
    line.start_from(before)
    running = line.submit_by(before, training)
    wait_until(lambda: line.ask("SELECT 1 FROM checkpoints WHERE images_seen > 0"), JOB_SECONDS)
    waiting = line.submit_by(before, ping)

    # What is there says what it wants of an upgrade, and the upgrade goes on beside those who work.
    asked = line.pixmill("ps", source=REPOSITORY)
    assert asked.returncode == 78
    assert "behind" in asked.stderr
    assert "back up, then: pixmill db upgrade" in asked.stderr
    upgraded = line.pixmill("db", "upgrade", source=REPOSITORY)
    assert upgraded.returncode == 0, upgraded.stderr
    assert schema_state(line.database).status is SchemaStatus.OK

    # The release before goes on with what it has, and begins nothing new by a command.
    for job_id in (running, waiting):
        wait_until(lambda job_id=job_id: State(line.state_of(job_id)).is_terminal, JOB_SECONDS)  # type: ignore[misc]
        assert line.state_of(job_id) == State.SUCCEEDED, line.log("worker")
    for words in (["submit", "-f", ping], ["worker", "start", "--device", "cpu:7"], ["scheduler", "run"]):
        refused = line.pixmill(*words, source=before)
        assert refused.returncode == 78, refused.stderr
        assert "migrated by a newer pixmill" in refused.stderr
        assert "upgrade pixmill on this host" in refused.stderr

    # Workers of both releases beside each other; then the old ones go.
    between = line.submit_by(REPOSITORY, training)
    wait_until(lambda: line.ask(f"SELECT 1 FROM tasks WHERE job_id = {between} AND state = 'running'"), JOB_SECONDS)
    for process in (line.worker, line.scheduler):
        assert process is not None
        process.terminate()
        assert process.wait(JOB_SECONDS) == 0
    line.start_from(REPOSITORY)
    wait_until(lambda: State(line.state_of(between)).is_terminal, JOB_SECONDS)
    assert line.state_of(between) == State.SUCCEEDED, line.log("worker")
    last = line.submit_by(REPOSITORY, ping)
    wait_until(lambda: line.state_of(last) == State.SUCCEEDED, JOB_SECONDS)
    assert len(line.attempts(between)) == 2
    assert check_everything(line.database, line.settings.storage_root) == []

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from db.tables.jobs import Event
from db.tables.models import RegisteredDataset
from db.tables.published import Shard
from db.views import job_events, job_shards
from pixmill.states import FailureReason
from tests.cli.running import Runner
from tests.cli.world import World


@pytest.fixture
def output(world: World) -> Path:
    """The folder of job 2, a data set of 40 images in two shards."""
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    return world.root / "outputs" / str(world.generated(worker))


def rows(world: World) -> list[tuple[Any, ...]]:
    with world.database.read() as session:
        found = job_shards(session, 2)
        return [(row.number, row.task_id, row.lease_epoch, row.folder, row.record, row.size_bytes) for row in found]


def lose_rows(world: World, *numbers: int) -> None:
    world.database.transact(lambda session: session.execute(delete(Shard).where(Shard.number.in_(numbers))))


def events(world: World) -> list[Event]:
    with world.database.read() as session:
        return list(job_events(session, 2))


@pytest.mark.parametrize("lost", ["rows", "rows and the attempt's files"])
def test_lost_rows_come_back_as_they_were(output: Path, run: Runner, world: World, lost: str) -> None:
    before = rows(world)
    lose_rows(world, 0, 1)
    if lost != "rows":
        shutil.rmtree(world.root / before[0][3])
    found = run("output", "rebuild", 2)
    assert (found.code, found.out) == (0, ""), found.err
    assert "2 rows restored, 0 there already" in found.err
    assert rows(world) == before
    assert events(world)[-1].action == "rebuild_output"
    assert run("output", "verify", 2).code == 0
    assert run("gc", "plan", "-o", "json").json["item"]["items"] == []
    assert run("output", "rebuild", 2, "-o", "json").json["item"] == {
        "job_id": 2, "restored": [], "refused": [], "missing": []
    }  # fmt: skip


def test_what_is_not_the_shard_of_the_job_gets_no_row(output: Path, run: Runner, world: World) -> None:
    folder = world.root / rows(world)[0][3]
    lose_rows(world, 0, 1)
    for path in (folder, output):
        content = bytearray((path / "shard-000000.tar").read_bytes())
        content[700] ^= 1
        (path / "shard-000000.tar").unlink()
        (path / "shard-000000.tar").write_bytes(content)
        (path / "shard-000001.json").unlink()
    found = run("output", "rebuild", 2)
    assert found.code == 1
    assert all("shard-000000.tar has changed" in line for line in found.lines)
    assert "0 rows restored, 0 there already; nowhere to be found: 0, 1" in found.err
    assert run("output", "rebuild", 1).code == 3


def test_an_output_is_removed_after_a_question_whose_answer_is_no(
    output: Path, run: Runner, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("output", "rm", 2).code == 2
    with monkeypatch.context() as patched:
        patched.setattr("cli.asking.is_terminal", lambda _stream: True)
        found = run("output", "rm", 2, stdin="\n")
    assert (found.code, "remove output 2, 14 files" in found.err) == (1, True)
    assert output.exists()
    folder = world.root / rows(world)[0][3]
    found = run("output", "rm", 2, "-y", "--reason", "wrong seed")
    assert found.code == 0, found.err
    assert "removed output 2: 14 files" in found.err
    assert not output.exists()
    assert [path.name for path in folder.glob("shard-*")] == []
    assert rows(world) == []
    assert (events(world)[-1].action, events(world)[-1].detail) == ("remove_output", "wrong seed")
    assert run("output", "ls", "-o", "json").json["items"] == []
    found = run("output", "show", 2)
    assert (found.code, "was removed at" in found.err, "wrong seed" in found.err) == (3, True, True)
    assert run("submit", "evaluate", "--output", 2).code == 4
    assert run("output", "rm", 2, "-y").code == 3
    assert run("job", "show", 2).code == 0


def test_what_is_needed_is_not_removed(output: Path, run: Runner, world: World) -> None:
    def registered(session: Any) -> None:
        values = {"image_size": 8, "channels": 1, "on_bad_image": "fail", "image_count": 40, "user_name": "olga"}
        names = {"name": "made", "source": f"tar:{output}", "fingerprint": "f" * 64, "content_fingerprint": "c" * 64}
        session.add(RegisteredDataset(**names, **values, description={}))

    job = world.evaluate(2)
    found = run("output", "rm", 2, "-y")
    assert (found.code, f"evaluate job {job} is pending" in found.err) == (4, True)
    world.database.transact(registered)
    assert "data set made is registered from it" in run("output", "rm", 2, "-y").err
    assert len(rows(world)) == 2
    running = world.generate("digits-vae@1", n=20)
    assert run("output", "rm", running, "-y").code in (3, 4)


def test_what_has_failed_does_not_go_on_from_shards_that_were_removed(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job = world.generate("digits-vae")
    lease = world.claim(worker)
    world.publish_shard(lease, 0, 20)
    assert run("output", "rm", job, "-y").code == 4
    world.fail(lease, FailureReason.USER_ERROR, "no such class")
    assert run("output", "rm", job, "-y").code == 0
    found = run("job", "retry", job)
    assert (found.code, "had published was removed" in found.err) == (4, True)

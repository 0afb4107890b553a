"""`gc` with a policy: what is planned goes, and nothing else, whoever is killed or comes to need it meanwhile."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select, update

from cli.doctor.findings import Level
from cli.doctor.garbage import examine_garbage
from db.aliases import Deed, promote
from db.jobs import add_jobs
from db.registry import add_version, ensure_dataset
from db.tables.jobs import Attempt, Event, Job, Outcome, Task
from db.tables.models import ModelEvent, ModelVersion
from db.tables.published import Checkpoint, CheckpointKind
from pixmill.crashpoints import CRASHED
from pixmill.settings import load_settings
from pixmill.states import State
from tests import rows
from tests.cli.running import Runner, in_subprocess
from tests.cli.world import World

POLICY = "last=1,checkpoints=14d"


def stock(world: World, jobs: int) -> None:
    """Train jobs that ended long ago, each with a version of `digits` and a state; number 1 has the best metric."""
    worker = world.worker()
    with world.database.write() as session:
        job_ids = add_jobs(session, [rows.new_job(name="digits") for _ in range(jobs)])
        ended = {"state": State.SUCCEEDED, "finished_at": datetime.now(UTC) - timedelta(days=400)}
        session.execute(update(Job).values(ended))
        session.execute(update(Task).values(state=State.SUCCEEDED, lease_epoch=1))
        dataset = ensure_dataset(session, "digits", "f" * 64, {})
        tasks = {task.job_id: task.id for task in session.scalars(select(Task))}
        for job_id in job_ids:
            folder, task_id = rows.folder(job_id, tasks[job_id], 1), tasks[job_id]
            common = {"task_id": task_id, "lease_epoch": 1}
            session.add(Attempt(**common, worker_id=worker.id, folder=folder, outcome=Outcome.SUCCEEDED))
            state = {"path": f"{folder}/state-10.pt", "sha256": "0" * 64, "size_bytes": 10, "images_seen": 10}
            session.add_all(Checkpoint(**common, **state, kind=kind) for kind in CheckpointKind)
            changes = {"folder": f"{folder}/model", "metric_name": "kid@cnn-1", "metric_value": job_id / 10}
            add_version(session, "digits", rows.version(job_id, dataset, **changes))
            write(world.root / folder, "log.txt", "state-10.pt", "model/weights.safetensors", "model/model.json")


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"0123456789")


def there(world: World) -> set[str]:
    return {path.relative_to(world.root).as_posix() for path in (world.root / "runs").rglob("*") if path.is_file()}


def below(files: set[str], *paths: str) -> set[str]:
    """Those of the files that are one of the paths, or lie in one."""
    return {file for file in files if any(file == path or file.startswith(f"{path}/") for path in paths)}


def named(world: World) -> set[str]:
    """What rows vouch for."""
    with world.database.read() as session:
        folders = session.scalars(select(ModelVersion.folder).where(ModelVersion.removed_at.is_(None))).all()
        return {*folders, *session.scalars(select(Checkpoint.path))}


def require_no_dangling_row(world: World) -> None:
    assert [path for path in named(world) if not (world.root / path).exists()] == []


def planned(run: Runner, policy: str = POLICY) -> set[str]:
    items = run("gc", "plan", "--policy", policy, "-o", "json").json["item"]["retention"]["items"]
    return {item["path"] for item in items if item["goes"]}


def test_of_five_hundred_things_just_those_of_the_plan_go(run: Runner, world: World) -> None:
    stock(world, 250)
    before, policy = there(world), "last=20,best=5,checkpoints=14d"
    item = run("gc", "plan", "--policy", policy, "-o", "json").json["item"]["retention"]
    assert item["goes"] == {"versions": 225, "checkpoints": 250, "files": 700, "bytes": 7000}
    assert item["stays"] == {"versions": 25, "checkpoints": 0, "files": 50, "bytes": 500}
    going = {each["path"] for each in item["items"] if each["goes"]}
    assert len(going) == 475

    found = run("gc", "run", "--policy", policy, "-y")
    detail = f"removed 700 files, 7.0 kB; of these 225 versions and 250 checkpoints (7.0 kB) by the policy {policy}"
    assert (found.code, found.err) == (0, f"{detail}\n")
    assert before - there(world) == below(before, *going)
    assert len(there(world)) == 1000 - 700
    require_no_dangling_row(world)
    with world.database.read() as session:
        removed = session.scalars(select(ModelVersion.version).where(ModelVersion.removed_at.is_not(None))).all()
        assert sorted(removed) == list(range(6, 231))
        moves = session.scalars(select(ModelEvent).order_by(ModelEvent.number)).all()
        assert [event.number for event in moves] == list(range(1, 226))
        assert {(event.action, event.reason) for event in moves} == {("remove_version", f"retention, {policy}")}
        events = session.scalars(select(Event).where(Event.action != "submit")).all()
        assert [event.detail for event in events if event.action == "collect_garbage"] == [detail]
        assert sum(event.action == "forget_checkpoints" for event in events) == 250
    assert run("gc", "run", "--policy", policy, "-y").err == "nothing to remove\n"


def test_the_plan_gives_the_reasons_of_whatever_stays_and_goes(run: Runner, world: World) -> None:
    stock(world, 3)
    run("model", "promote", "digits@1", "--reason", "good")
    found = run("gc", "plan", "--policy", "last=1,best=1,checkpoints=14d")
    assert found.code == 0, found.err
    lines = [" ".join(line.split()) for line in found.lines]
    assert "policy last=1,best=1,checkpoints=14d" in lines
    assert (
        "goes digits@2 20 B no alias, job, output or schedule needs it; 1 are newer, the last 1 stay; "
        "number 2 by kid@cnn-1, the best 1 stay"
    ) in lines
    assert "goes best and last checkpoint of job 2 at 10 10 B job 2 succeeded more than 14d ago" in lines
    assert "stays digits@1 20 B champion stands for it; number 1 by kid@cnn-1, the best 1 stay" in lines
    assert "stays digits@3 20 B digits without a number means it" in lines
    assert "of these 1 version and 3 checkpoints (50 B) would go, and 2 versions (40 B) would stay" in found.err
    assert "5 files (50 B) would go: pixmill gc run --policy last=1,best=1,checkpoints=14d" in found.err
    assert len(there(world)) == 12


def test_without_a_policy_nothing_that_a_row_names_goes(
    run: Runner, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(world, 2)
    before = there(world)
    assert run("gc", "plan", "-o", "json").json["item"]["retention"]["items"] == []
    assert run("gc", "run", "-y").err == "nothing to remove\n"
    (tmp_path / "pixmill.toml").write_text('[retention]\nlast = 1\ncheckpoints = "500d"\n')
    assert run("gc", "run", "-y", "--policy", "none").err == "nothing to remove\n"
    assert there(world) == before
    item = run("gc", "plan", "-o", "json").json["item"]["retention"]
    assert (item["policy"], item["goes"]["versions"], item["goes"]["checkpoints"]) == ("last=1,checkpoints=500d", 1, 0)
    assert run("gc", "run").code == 2
    assert there(world) == before
    assert "1 version (20 B) by the policy last=1,checkpoints=500d" in run("gc", "run", "-y").err


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("lsat=5", "'lsat=5' is no rule; did you mean 'last'?"),
        ("last=none", "rule 'last': 'none' is not a whole number from 1 on"),
        ("champions=x", "rule 'champions': 'x' is not a time span"),
    ],
)
def test_a_bad_policy_is_one_clear_line(run: Runner, world: World, policy: str, message: str) -> None:
    for act in ("plan", "run"):
        found = run("gc", act, "--policy", policy)
        assert (found.code, found.out) == (2, "")
        assert message in found.err
        assert "Traceback" not in found.err


def test_what_comes_to_be_needed_after_the_plan_stays(
    run: Runner, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(world, 5)

    def meanwhile(*_question: object, **_more: object) -> None:
        world.database.transact(lambda session: promote(session, "digits@1", "champion", Deed(actor="ann")))
        with world.database.write() as session:
            spec = {"kind": "generate", "model": "digits@2"}
            add_jobs(session, [rows.new_job(kind="generate", spec=spec)])

    monkeypatch.setattr("cli.commands.gc.confirm", meanwhile)
    found = run("gc", "run", "--policy", "last=1")
    assert found.code == 0, found.err
    assert "of these 2 versions (40 B) by the policy last=1; 2 versions (40 B) left alone: " in found.err
    assert {path.rpartition("/")[2] for path in named(world)} == {"model", "state-10.pt"}
    with world.database.read() as session:
        left = session.scalars(select(ModelVersion.version).where(ModelVersion.removed_at.is_(None))).all()
    assert sorted(left) == [1, 2, 5]
    assert sum(path.endswith("weights.safetensors") for path in there(world)) == 3
    require_no_dangling_row(world)


def test_a_run_that_is_killed_between_rows_and_files_leaves_no_row_without_files(
    run: Runner, world: World, tmp_path: Path
) -> None:
    stock(world, 60)
    before, going = there(world), planned(run)
    armed = {"PIXMILL_TEST_CRASH_AT": "gc.forgot:2", "PIXMILL_TEST_CRASH_MARK": str(tmp_path / "crashed")}
    died = in_subprocess("gc", "run", "-y", "--policy", POLICY, **armed)
    assert died.code == CRASHED, died.err
    require_no_dangling_row(world)
    unnamed = going - named(world)
    assert len(unnamed) == 59  # of all versions that go
    assert len(below(there(world), *unnamed)) == 9 * 2  # the files of the second batch are still there

    finished = run("gc", "run", "-y", "--policy", POLICY)
    assert finished.code == 0, finished.err
    assert before - there(world) == below(before, *going)
    require_no_dangling_row(world)
    assert run("gc", "run", "-y", "--policy", POLICY).err == "nothing to remove\n"


class Killed(BaseException):
    """Stands for SIGKILL: nothing is caught, nothing is cleaned up."""


@pytest.mark.parametrize("step", range(1, 5))
def test_a_run_that_ends_after_any_batch_is_finished_by_the_next(
    run: Runner, world: World, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    stock(world, 5)
    before, going = there(world), planned(run)
    with monkeypatch.context() as patch:
        patch.setattr("cli.forgetting.BATCH", 3)
        patch.setattr("cli.forgetting.reach", killing(step))
        with pytest.raises(Killed):
            run("gc", "run", "-y", "--policy", POLICY)
    require_no_dangling_row(world)
    assert run("gc", "run", "-y", "--policy", POLICY).code == 0
    assert before - there(world) == below(before, *going)


def killing(step: int) -> Callable[[object], None]:
    steps = count(1)

    def reach(_point: object) -> None:
        if next(steps) == step:
            raise Killed

    return reach


def test_a_storage_root_that_is_not_the_databases_loses_no_row(run: Runner, world: World, tmp_path: Path) -> None:
    stock(world, 3)
    before = named(world)
    for act in (("plan",), ("run", "-y")):
        found = run("gc", *act, "--policy", POLICY, PIXMILL_STORAGE_ROOT=str(tmp_path / "elsewhere"))
        assert found.code == 4
        assert "names 3 versions and 3 checkpoints (0 B), and not one of them lies below" in found.err
    assert named(world) == before


def test_a_quota_is_told_by_status_and_the_doctor_and_never_met_by_force(run: Runner, world: World) -> None:
    stock(world, 3)
    output = world.generated(world.worker("other"), "digits@3")
    taken = sum((world.root / path).stat().st_size for path in there(world))

    told = {}
    for quota in (100, 10**9):
        checks = run("status", "-o", "json", PIXMILL_RETENTION_QUOTA=str(quota)).json["item"]["checks"]
        (check,) = [each for each in checks if each["part"] == "quota"]
        settings = load_settings(flags={"home": world.home, "retention.quota": quota})
        (finding,) = [each for each in examine_garbage(world.database, settings) if each.part == "quota"]
        told[quota] = (check["state"], check["hint"], finding.state, finding.remedy)
    remedy = "pixmill gc plan tells what would bring it below"
    assert told == {100: ("over", remedy, Level.WARNING, remedy), 10**9: ("ok", None, Level.OK, None)}
    assert "quota" not in {check["part"] for check in run("status", "-o", "json").json["item"]["checks"]}

    item = run("gc", "plan", "--policy", POLICY, "-o", "json", PIXMILL_RETENTION_QUOTA="100").json["item"]["quota"]
    assert (item["used_bytes"], item["freed_bytes"], item["excess_bytes"]) == (taken, 70, taken - 100)
    assert item["rest_bytes"] == taken - 170
    assert [each["job_id"] for each in item["outputs"]] == [output]
    found = run("gc", "plan", "--policy", POLICY, PIXMILL_RETENTION_QUOTA=str(taken - 70))
    assert "leaves" in found.out
    assert ": enough" in found.out
    found = run("gc", "plan", "--policy", POLICY, PIXMILL_RETENTION_QUOTA="100")
    assert f"pixmill output rm {output}" in found.out
    assert "alone keeps nothing; what else stays is needed" in found.out
    assert "none, so all versions and checkpoints stay" in run("gc", "plan", PIXMILL_RETENTION_QUOTA="100").out
    run("gc", "run", "--policy", POLICY, "-y", PIXMILL_RETENTION_QUOTA="100")
    assert run("output", "verify", output).code == 0

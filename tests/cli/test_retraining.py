"""Versions that come from others, jobs that had nothing to do, and data that have moved, as people are told of them."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from client.jobreport.building import write_report
from db.leases import Lease, finish, publish_checkpoint
from db.tables.fleet import Worker
from db.tables.jobs import Outcome, Role
from db.tables.published import CheckpointKind
from imagemodels.data import load_dataset
from imagemodels.evaluation.datatraces import summarised
from imagemodels.evaluation.drift import KnownData, compared
from imagemodels.evaluation.driftlimits import sentence
from pixmill.states import FailureReason
from storage.checkpoints import save_checkpoint
from storage.paths import Layout
from tests import rows
from tests.cli.running import Runner
from tests.cli.world import World
from tests.imagemodels.data.pictures import write_class_folders
from worker.parent.publishing import publisher


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write_class_folders(tmp_path / "pets", {"cat": 6, "dog": 3}, (8, 8))


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """The same images, and some more."""
    return write_class_folders(tmp_path / "more", {"cat": 6, "dog": 5}, (8, 8))


def result_of(world: World, lease: Lease, folder: Path, **lineage: Any) -> dict[str, Any]:
    """What a device process answers that has trained on a folder, its file of the data written."""
    data = load_dataset(f"folder:{folder}")
    summary, traces = summarised(data)
    saved = save_checkpoint(Layout(world.root), world.root / lease.folder, "data.npz", traces.write)
    return {
        "folder": f"{lease.folder}/model",
        "digest": "d" * 64,
        "preset": "vae",
        "image_size": 8,
        "channels": 3,
        "classes": [],
        "images_seen": 10_000,
        "best_images_seen": None,
        "metric": None,
        "dataset": {"name": data.name, "description": data.describe()},
        "lineage": {"seed": 0, "data": {"summary": summary.to_json(), "traces": asdict(saved)}, **lineage},
    }


def publish(world: World, lease: Lease, result: dict[str, Any]) -> None:
    state = rows.checkpoint(lease, 10_000, kind=CheckpointKind.BEST)
    world.database.transact(lambda session: publish_checkpoint(session, lease, state))
    act = publisher(Role.TRAIN)
    assert act is not None
    world.database.transact(
        lambda session: finish(session, lease, Outcome.SUCCEEDED, publish=lambda inner: act(inner, lease, result))
    )


def trained(world: World, worker: Worker, folder: Path, **lineage: Any) -> Lease:
    world.train(name="pets")
    lease = world.claim(worker)
    publish(world, lease, result_of(world, lease, folder, **lineage))
    return lease


def test_a_version_says_which_one_it_comes_from(run: Runner, world: World, pets: Path) -> None:
    worker = world.worker()
    trained(world, worker, pets)
    trained(world, worker, pets, parent="pets@1", parent_digest="d" * 64, images_before=10_000)
    trained(world, worker, pets, parent="others@4", parent_digest="e" * 64, images_before=500)
    shown = run("model", "show", "pets@2")
    assert re.search(r"started from +pets@1$", shown.out, re.MULTILINE)
    assert "images before" in shown.out
    assert "data levels" in shown.out
    assert "summary" not in shown.out
    item = run("model", "show", "pets@2", "-o", "json").json["item"]
    assert (item["parent"], item["lineage"]["images_before"]) == ("pets@1", 10_000)
    assert "| started from | pets@1 |" in run("model", "card", "pets@2").out
    assert "| started from | the seed, no other model |" in run("model", "card", "pets@1").out
    events = run("model", "history", "pets", "-o", "json").json["items"]
    assert [(event["action"], event["from_version"], event["to_version"]) for event in events] == [
        ("begin_with", None, 3),
        ("begin_with", 1, 2),
    ]
    assert events[0]["reason"] == "job 3 began with others@4"
    assert "start from" in run("job", "show", 2).out
    assert run("model", "rm", "pets@1", "-y").code == 0  # its children need it no more
    assert "pets@1" in run("model", "show", "pets@2").out


def test_a_job_without_new_data_says_so_everywhere(run: Runner, world: World, pets: Path) -> None:
    worker = world.worker()
    trained(world, worker, pets)
    job = world.train(name="pets")
    lease = world.claim_by(worker, job)
    known = KnownData("pets", "f" * 64, {"images": 9})
    drift = compared(known, known, "pets@1")
    skipped = {"reason": "NoNewData", "detail": "data set pets is what pets@1 was trained on: nothing was trained"}
    publish(world, lease, {"skipped": skipped, "drift": drift.to_json(), "drift_told": sentence(drift)})
    assert "NoNewData: data set pets is what pets@1" in run("ps", "-o", "wide").out
    waited = run("wait", job)
    assert (waited.code, "(pets) succeeded after" in waited.err) == (0, True)
    assert "NoNewData: data set pets is what pets@1 was trained on: nothing was trained" in waited.err
    shown = run("job", "show", job)
    assert "  skipped        NoNewData: data set pets is what" in shown.out
    assert "the very same: 9 images" in shown.out
    (task,) = run("job", "show", job, "-o", "json").json["item"]["tasks"]
    assert task["result"]["skipped"] == skipped
    assert run("ps", "-o", "json").json["items"][-1]["reason"] == "NoNewData"
    assert run("model", "versions", "pets", "-o", "ids").lines == ["pets@1"]
    assert "nothing was trained" in write_report(
        world.database, world.settings, job, world.home / "skipped.html"
    ).read_text(encoding="utf-8")


def test_data_sets_are_compared_here_and_now(run: Runner, pets: Path, more: Path) -> None:
    assert run("dataset", "add", "pets", f"folder:{pets}").code == 0
    found = run("dataset", "drift", "pets", f"folder:{more}")
    assert found.code == 0
    assert "  images         11, 9 before (+22.2%)" in found.lines
    assert "compared with  the data of pets" in found.out
    assert "looks          Fréchet distance" in found.out
    item = run("dataset", "drift", "pets", f"folder:{more}", "-o", "json").json["item"]
    assert (item["before"], item["now"], item["broken"]) == (9, 11, [])
    assert item["added"] - item["removed"] == 2
    assert item["class_shift"] == pytest.approx(5 / 11 - 3 / 9)
    leave_one_of_each(more)
    refused = run("dataset", "drift", "pets", f"folder:{more}")
    assert (refused.code, "78% fewer (max_shrink 0.5)" in refused.out) == (1, True)
    assert run("dataset", "drift", "pets").code == 2
    assert "is of sequences" in run("dataset", "drift", "pets", "moving:digits").err
    assert run("dataset", "drift", "pets", "patz").code == 2


def leave_one_of_each(folder: Path) -> None:
    """Leave one image of each class."""
    for path in folder.rglob("*.png"):
        if path.name != min(other.name for other in path.parent.iterdir()):
            path.unlink()


def test_a_data_set_is_compared_with_that_of_a_version_that_is_gone_meanwhile(
    run: Runner, world: World, pets: Path, more: Path
) -> None:
    lease = trained(world, world.worker(), pets)
    same = run("dataset", "drift", f"folder:{pets}", "--against", "pets@1")
    assert "the very same: 9 images" in same.out
    (pets / "cat").rename(pets.parent / "elsewhere")
    item = run("dataset", "drift", f"folder:{more}", "--against", "pets", "-o", "json").json["item"]
    assert (item["against"], item["before"], item["now"]) == ("pets@1", 9, 11)
    assert item["added"] - item["removed"] == 2
    (world.root / lease.folder / "data.npz").unlink()
    found = run("dataset", "drift", f"folder:{more}", "--against", "pets")
    assert "note: the images cannot be compared one by one" in found.err
    assert "added" not in found.out
    assert "levels" in found.out
    assert run("dataset", "drift", f"folder:{more}", "--against", "nobody").code == 3


def test_refused_data_stand_in_the_report(run: Runner, world: World) -> None:
    job = world.train(retries=5)
    lease = world.claim(world.worker())
    before, now = (KnownData("pets", name * 64, {"images": count}) for name, count in (("a", 90), ("b", 9)))
    values = {**compared(before, now, "pets@1").to_json(), "broken": ["90% fewer"], "accepted": False}
    (world.root / lease.folder / "drift.json").write_text(json.dumps(values))
    world.fail(lease, FailureReason.DATA_REFUSED, "data set pets is refused: 90% fewer")
    assert "DataRefused: data set pets is refused" in run("ps").out  # and it is not tried again
    page = write_report(world.database, world.settings, job, world.home / "report.html").read_text(encoding="utf-8")
    assert "The data against those before" in page
    assert "9, 90 before (-90.0%)" in page
    (world.root / lease.folder / "drift.json").write_text("{")
    torn = run("job", "report", job)
    assert (torn.code, "does not say how the data have changed" in torn.err) == (1, True)


def test_what_is_asked_for_is_a_spec(run: Runner, world: World, pets: Path) -> None:
    trained(world, world.worker(), pets)
    train = ("submit", "train", "--model", "vae", "--dataset", "digits", "--dry-run", "-o", "json")
    asked = (*train, "--from", "pets", "--skip-unchanged", "--min-images", "1k", "--max-shrink", "0.25")
    item = run(*asked).json["item"]
    assert (item["start_from"], item["image_size"], item["channels"]) == ("pets@1", 8, 3)
    assert (item["skip_unchanged"], item["min_images"], item["max_shrink"]) == (True, 1000, 0.25)
    assert "start_from" not in run(*train, "--from", "none").json["item"]
    wrong = run(*train, "--max-shrink", "1.5")
    assert (wrong.code, "'max_shrink' is 1.5" in wrong.err) == (2, True)
    other = run(*train, "--from", "pets", "--set", "width=8")
    assert (other.code, "width 8, and not 32" in other.err) == (2, True)
    assert len(other.err.splitlines()) == 2  # one line, and the hint

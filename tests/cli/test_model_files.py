"""Cards, exports and removals of versions whose files are there."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from sqlalchemy.orm import Session

from db.leases import finish
from db.tables.jobs import Outcome, Role
from imagemodels.card import Metadata
from imagemodels.export import load_model, save_model
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.specs import ConvDecoderSpec
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from tests.cli.running import Runner
from tests.cli.world import World
from worker.parent.publishing import publisher


@pytest.fixture
def files(world: World) -> Path:
    """The folder of the model of job 1, `digits@1`, published as a worker does."""
    job_id = world.train(name="digits")
    lease = world.claim(world.worker())
    folder = world.root / lease.folder / "model"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ConvDecoder(ConvDecoderSpec(image_size=8, channels=1, latent_size=2, width=2, num_classes=2))
    model = Generator(network, Runtime(threads=1))
    weights_sha256 = save_model(folder, model, Metadata(preset="vae", images_seen=200, seed=3, class_names=("a", "b")))
    result = {
        "folder": f"{lease.folder}/model",
        "digest": model.digest,
        "preset": "vae",
        "image_size": 8,
        "channels": 1,
        "classes": ["a", "b|c"],
        "images_seen": 200,
        "best_images_seen": None,
        "metric": {"name": "kd@cnn-1a2b3c4d", "value": 0.125},
        "dataset": {"name": "digits", "description": {"fingerprint": "f" * 64}},
        "lineage": {"seed": 3, "device": "cpu", "weights_sha256": weights_sha256, "metric_images": 1000},
    }
    publish = publisher(Role.TRAIN)
    assert publish is not None

    def published(session: Session) -> dict[str, object]:
        return publish(session, lease, result)

    world.database.transact(lambda session: finish(session, lease, Outcome.SUCCEEDED, publish=published))
    assert job_id == 1
    return folder


def test_the_card_tells_what_the_version_is_and_where_it_comes_from(files: Path, run: Runner, tmp_path: Path) -> None:
    run("model", "promote", "digits@1", "--reason", "the | first\nof all")
    page = tmp_path / "card.md"
    assert run("model", "card", "digits@champion", "--out", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert text == run("model", "card", "digits@1").out
    assert text.startswith("# digits@1\n\nA generator, trained ")
    for row in (
        "| aliases | champion |",
        "| classes | a, b\\|c |",
        "| seed | 3 |",
        "| data fingerprint | " + "f" * 64 + " |",
        "| device model | test device |",
        "| started from | the seed, no other model |",
        "| torch | not recorded |",
        "| metric images | 1k |",
    ):
        assert row in text, row
    assert "promote champion | – | 1 | the \\| first of all |" in text
    item = run("model", "card", "digits", "-o", "json").json["item"]
    assert (item["parent"], item["lineage"]["seed"], item["aliases"]) == (None, 3, ["champion"])
    assert [event["action"] for event in item["history"]] == ["promote"]


def test_an_export_is_a_model_with_its_hashes(files: Path, run: Runner, tmp_path: Path) -> None:
    target = tmp_path / "digits"
    found = run("model", "export", "digits@1", "--to", target, "-o", "json")
    assert found.code == 0, found.err
    names = {file["name"] for file in found.json["item"]["files"]}
    assert names == {"weights.safetensors", "model.json", "README.md", "card.json"}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=target, check=True)
    assert load_model(target, Runtime(threads=1)).digest == load_model(files, Runtime(threads=1)).digest
    assert (target / "README.md").read_text(encoding="utf-8").startswith("# digits@1")
    again = run("model", "export", "digits@1", "--to", target)
    assert (again.code, "is not an empty folder" in again.err) == (2, True)


@pytest.mark.parametrize("hurt", ["weights.safetensors", "model.json", "missing"])
def test_what_is_not_what_was_recorded_is_not_exported(files: Path, run: Runner, tmp_path: Path, hurt: str) -> None:
    if hurt == "missing":
        (files / "weights.safetensors").unlink()
    elif hurt == "model.json":
        path = files / hurt
        path.write_text(path.read_text().replace('"latent_size": 2', '"latent_size": 3'), encoding="utf-8")
    else:
        content = bytearray((files / hurt).read_bytes())
        content[-1] ^= 1
        (files / hurt).write_bytes(content)
    found = run("model", "export", "digits@1", "--to", tmp_path / "copy")
    assert (found.code, str(files) in found.err) == (1, True)
    assert not (tmp_path / "copy" / "SHA256SUMS").exists()


def test_a_version_is_removed_once_its_name_is_typed(
    files: Path, run: Runner, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (run("model", "rm", "digits@1").code, run("model", "rm", "digits", "-y").code) == (2, 2)
    monkeypatch.setattr("cli.asking.is_terminal", lambda _stream: True)
    assert run("model", "rm", "digits@1", stdin="digits\n").code == 1
    assert run("model", "rm", "digits@1", "--dry-run").code == 0
    assert files.exists()
    found = run("model", "rm", "digits@1", "--reason", "dark images", stdin="digits@1\n")
    assert found.code == 0, found.err
    assert "removed digits@1: 2 files" in found.err
    assert not files.exists()
    gone = run("submit", "generate", "--model", "digits@1", "-n", 10)
    assert (gone.code, "digits@1 was removed at" in gone.err, "dark images" in gone.err) == (3, True, True)
    assert run("model", "ls", "-o", "json").json["items"] == []
    (item,) = run("model", "versions", "digits", "--all", "-o", "json").json["items"]
    assert (item["metric_value"], item["removed_at"] is not None) == (0.125, True)
    assert run("model", "rm", "digits@1", "-y").code == 3
    assert run("job", "show", 1).code == 0
    assert run("job", "report", 1, "--out", files.parent / "report.html").code == 0


def test_what_is_needed_is_not_removed_and_the_reason_comes_before_the_question(
    files: Path, run: Runner, world: World
) -> None:
    job = world.generate("digits", n=20)
    found = run("model", "rm", "digits@1")
    assert (found.code, f"generate job {job} is pending" in found.err) == (4, True)
    run("cancel", job)
    run("model", "promote", "digits@1", "--reason", "best")
    assert "champion stands for it" in run("model", "rm", "digits@1", "-y").err
    assert files.exists()


def test_what_an_interrupted_removal_left_is_garbage(files: Path, run: Runner, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(files, copy)
    assert run("gc", "plan", "-o", "json").json["item"]["items"] == []
    assert run("model", "rm", "digits@1", "-y").code == 0
    shutil.copytree(copy, files)  # the row is gone, and the files were not removed any more
    (item,) = run("gc", "plan", "-o", "json").json["item"]["items"]
    assert (item["path"].endswith("/model"), item["reason"], item["files"]) == (True, "unpublished", 2)
    assert run("gc", "run", "-y").code == 0
    assert not files.exists()
    assert files.parent.exists()

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.leases import publish_shard
from db.tables.published import Shard
from pixmill.specs import RestoreSpec, TrainSpec
from reports.html import render
from storage.outputs import link_shard, write_dataset_index
from storage.png import decode_png
from storage.shards import ImageBatch, ShardMeta, write_shard
from tests.cli.running import Runner
from tests.cli.test_reporting import report_of
from tests.cli.world import World

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 6, 9, 1), dtype=np.uint8)
NAMES = ("a.png", "b.jpg", "deep/c.png")
FIGURES = {"restored": {"psnr": 23.456, "ssim": 0.91}, "damaged": {"psnr": 12.5, "ssim": 0.4}}


@pytest.fixture
def restored(world: World, tmp_path: Path) -> Path:
    """The data set of job 2, which restored three images with the model of job 1."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "a.png").touch()
    worker = world.worker()
    world.submit(TrainSpec(model="conv-ae", dataset="digits"), name="clean")
    world.succeed_training(world.claim(worker), "clean", (), preset="conv-ae")
    job_id = world.submit(RestoreSpec(model="clean", input=f"folder:{tmp_path / 'given'}", n=3))
    lease = world.claim(worker)
    made = world.root / lease.folder
    origin = {"whole": "e" * 64, "files": [[name, "0" * 64] for name in NAMES]}
    meta = ShardMeta(checkpoint_sha256="d" * 64, precision="fp32", seed=0, origin=origin)
    batch = ImageBatch(first_index=0, images=IMAGES, seeds=np.zeros(3, np.int64))
    record = write_shard(made, 0, [batch], meta)
    row = Shard(job_id=job_id, task_id=lease.task_id, lease_epoch=lease.epoch, number=0, folder=lease.folder)
    row.record, row.image_count, row.size_bytes = record.to_json(), 3, record.tar_bytes + record.parquet_bytes
    world.database.transact(lambda session: publish_shard(session, lease, row))
    world.succeed(lease, {"images": 3, "shards": 1, "seconds": 1.0})
    lease = world.claim(worker)
    output = world.root / "outputs" / str(job_id)
    link_shard(record, made, output)
    write_dataset_index(output, [record], name="restored")
    result: dict[str, Any] = {"output": f"outputs/{job_id}", "images": 3, "fidelity": FIGURES, "warnings": ["gray"]}
    world.succeed(lease, result)
    return output


@pytest.mark.usefixtures("restored")
def test_restored_images_are_exported_under_the_names_of_their_files(run: Runner, tmp_path: Path) -> None:
    found = run("output", "export", 2, "--to", tmp_path / "out")
    assert (found.code, found.out) == (0, "")
    assert f"to {tmp_path / 'out'}, all hashes right" in found.err
    for number, name in enumerate(("a.png", "b.jpg.png", "deep/c.png")):
        assert np.array_equal(decode_png((tmp_path / "out" / name).read_bytes()), IMAGES[number])
    assert run("output", "export", 2, "--to", tmp_path / "two", "-o", "json").json["item"]["images"] == 3
    assert run("output", "verify", 2).code == 0


def test_a_changed_image_is_not_exported(restored: Path, run: Runner, tmp_path: Path) -> None:
    archive = restored / "shard-000000.tar"
    content = bytearray(archive.read_bytes())
    content[560] ^= 1
    archive.write_bytes(content)
    found = run("output", "export", 2, "--to", tmp_path / "out")
    assert (found.code, "image 0 has changed" in found.err) == (1, True)


@pytest.mark.usefixtures("restored")
def test_report_and_screen_say_what_was_gained(world: World, run: Runner) -> None:
    page = render(report_of(world, 2))
    assert "PSNR 23.46 dB, SSIM 0.9100" in run("job", "show", 2).out
    assert "Restoring lifts the PSNR from 12.50 to 23.46 dB." in page
    assert "Means over 3 images." in page
    assert "It wrote 3 images in 1 shard." in page
    assert "gray" in page


def test_a_submitted_restoration_says_what_it_does(world: World, run: Runner, tmp_path: Path) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a.png").touch()
    world.submit(TrainSpec(model="conv-ae", dataset="digits"), name="clean")
    found = run("submit", "restore", "--model", "job:1", "--input", tmp_path / "torn", "-n", "1k")
    assert f"restore 1k images of {tmp_path / 'torn'} with job:1" in found.err
    assert f"input: folder:{tmp_path / 'torn'}" in run("job", "show", 2, "--spec").out
    found = run("submit", "restore", "--model", "job:1", "--input", "digits", "--mask", tmp_path)
    assert (found.code, "masks belong to the files of a folder" in found.err) == (2, True)

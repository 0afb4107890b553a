import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixmill.specs import CompressSpec, DecompressSpec, TrainSpec
from reports.html import render
from storage.filesets import FileSet, pixels_digest, seal, write_image_file
from storage.pictures import contact_sheet, save_png
from storage.png import ENCODER
from tests.cli.running import Runner
from tests.cli.test_reporting import report_of
from tests.cli.world import World

TRAIN = TrainSpec(model="fsq-ae", dataset="digits", images=10_000)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
RATES = [
    {"name": "codec@1", "bits_per_pixel": 0.875, "psnr": 23.456, "ssim": 0.8125, "n": 4},
    {"name": "PNG", "bits_per_pixel": 12.5, "psnr": None, "ssim": 1.0, "n": 4},
]


@pytest.fixture
def compressed(world: World) -> Path:
    """The attempt's folder of job 2, which compressed four images with the codec of job 1."""
    worker = world.worker()
    world.submit(TRAIN, name="codec")
    world.succeed_training(world.claim(worker), "codec", (), preset="fsq-ae")
    world.submit(CompressSpec(model="codec", part="held-out", n=4))
    lease = world.claim(worker)
    folder = world.root / lease.folder
    stored = [write_image_file(folder, f"{n}.pmc", bytes([n]) * 7, pixels_digest(IMAGES[n])) for n in range(4)]
    files = FileSet(
        model="codec@1", model_digest="d" * 64, computed_on="here", image_size=8, channels=1, images=tuple(stored)
    )
    manifest = seal(folder, files)
    save_png(folder / "strips.png", contact_sheet(IMAGES))
    result: dict[str, Any] = {
        "manifest": str(manifest.relative_to(world.root)),
        "strips": f"{lease.folder}/strips.png",
        "strips_reference": "WebP 10",
        "rates": RATES,
        "bytes": files.size_bytes,
        "files_sha256": files.digest,
        "dataset": "digits",
        "images": 4,
        "warnings": ["the model was trained on other data"],
    }
    world.succeed(lease, result)
    return folder


def test_files_are_exported_with_their_manifest(compressed: Path, run: Runner, tmp_path: Path) -> None:
    found = run("output", "export", 2, "--to", tmp_path / "out")
    assert (found.code, found.out) == (0, "")
    assert f"exported 4 files (28 B) to {tmp_path / 'out'}, all hashes right" in found.err
    for name in ("manifest.json", "images/0.pmc", "images/3.pmc"):
        assert (tmp_path / "out" / name).read_bytes() == (compressed / name).read_bytes()
    item = run("output", "export", 2, "--to", tmp_path / "out", "-o", "json").json["item"]
    assert (item["images"], item["size_bytes"], item["folder"]) == (4, 28, str(tmp_path / "out"))


def test_a_changed_file_is_not_exported(compressed: Path, run: Runner, tmp_path: Path) -> None:
    (compressed / "images" / "2.pmc").write_bytes(b"other")
    found = run("output", "export", 2, "--to", tmp_path / "out")
    assert found.code == 1
    assert "2.pmc has changed: its SHA-256 is not the one recorded" in found.err


def test_compressed_files_are_listed_shown_and_verified(compressed: Path, run: Runner) -> None:
    (item,) = run("output", "ls", "-o", "json").json["items"]
    assert (item["kind"], item["images"], item["size_bytes"], item["folder"]) == ("compress", 4, 28, str(compressed))
    assert run("output", "ls").lines[1].split()[:6] == ["2", "codec-compressed", "codec@1", "succeeded", "4", "–"]
    shown = run("output", "show", 2)
    assert str(compressed / "manifest.json") in shown.out
    assert "pixmill submit decompress --output 2" in shown.err
    found = run("output", "verify", "--all")
    assert (found.code, found.out, found.err) == (0, "", "output 2: 4 images: intact\n")


def test_every_damage_to_compressed_files_is_named(compressed: Path, run: Runner) -> None:
    images = compressed / "images"
    (images / "0.pmc").write_bytes(b"other")
    (images / "1.pmc").unlink()
    (images / "more.pmc").write_bytes(b"")
    found = run("output", "verify", 2)
    assert found.code == 1
    assert [line.rpartition("/")[2] for line in found.lines] == [
        "output 2: more.pmc is in no manifest",
        "0.pmc has changed: its SHA-256 is not the one recorded",
        "1.pmc is missing",
    ]
    manifest = json.loads((compressed / "manifest.json").read_text())
    manifest["images"].pop()
    (compressed / "manifest.json").write_text(json.dumps(manifest))
    assert "output 2: manifest.json lists other files than those recorded" in run("output", "verify", 2).lines
    (compressed / "manifest.json").write_text("{}")
    assert "is no manifest of image files" in run("output", "verify", 2).out


def test_decompressed_images_are_verified_down_to_their_pixels(world: World, run: Runner) -> None:
    """Other pixels in a file whose hash fits a manifest that was changed with it."""
    worker = world.worker()
    world.submit(TRAIN, name="codec")
    world.succeed_training(world.claim(worker), "codec", (), preset="fsq-ae")
    world.submit(DecompressSpec(files=str(world.root), model="codec@1"))
    lease = world.claim(worker)
    folder = world.root / lease.folder
    pngs = ENCODER.encode(IMAGES)
    stored = [
        write_image_file(folder, f"{n}.png", png, pixels_digest(image if n else 255 - image))
        for n, (png, image) in enumerate(zip(pngs, IMAGES, strict=True))
    ]
    files = FileSet(
        model="codec@1", model_digest="d" * 64, computed_on="here", image_size=8, channels=1, images=tuple(stored)
    )
    manifest = seal(folder, files)
    result = {"manifest": str(manifest.relative_to(world.root)), "bytes": files.size_bytes, "images": 4}
    world.succeed(lease, {**result, "files_sha256": files.digest, "verified": 0, "differing": 0})
    assert run("output", "verify", 2).lines == ["output 2: 0.png shows other pixels than those recorded"]


@pytest.mark.usefixtures("compressed")
def test_only_jobs_with_files_that_are_complete_are_exported(world: World, run: Runner, tmp_path: Path) -> None:
    found = run("output", "export", 1, "--to", tmp_path)
    assert (found.code, "job 1 is of kind train: it makes no output" in found.err) == (3, True)
    world.submit(DecompressSpec(output=2))
    found = run("output", "export", 3, "--to", tmp_path)
    assert (found.code, "job 3 is pending; its output is not complete" in found.err) == (4, True)
    assert run("output", "export", 77, "--to", tmp_path).code == 3


@pytest.mark.usefixtures("compressed")
def test_the_screen_of_a_job_has_the_table_of_rates(run: Runner) -> None:
    lines = [line.split() for line in run("job", "show", 2).lines]
    assert ["FILES", "BITS/PIXEL", "PSNR", "SSIM"] in lines
    assert ["codec@1", "0.875", "23.46", "dB", "0.8125"] in lines
    assert ["PNG", "12.500", "lossless", "1.0000"] in lines


@pytest.mark.usefixtures("compressed")
def test_the_report_shows_rates_strips_and_what_to_do_next(world: World) -> None:
    report = report_of(world, 2)
    assert report.compress is not None
    assert [rate.name for rate in report.compress.rates] == ["codec@1", "PNG"]
    page = render(report)
    assert "4 images took 28 B, 7% of what PNG takes." in page
    for text in (
        "23.46",
        "no loss",
        "as WebP 10 keeps them",
        "the model was trained on other data",
        "SHA-256 over all",
    ):
        assert text in page, text
    assert "data:image/webp;base64" in page
    assert "pixmill submit decompress --output 2" in page


@pytest.mark.usefixtures("compressed")
def test_a_decompression_shows_its_images(world: World) -> None:
    job_id = world.submit(DecompressSpec(output=2))
    lease = world.claim(world.worker("cpu2"))
    save_png(world.root / lease.folder / "contact-sheet.png", contact_sheet(IMAGES))
    counts = {"images": 4, "verified": 4, "differing": 0, "bytes": 2000}
    files = {"manifest": f"{lease.folder}/manifest.json", "files_sha256": "0" * 64}
    world.succeed(lease, {"contact_sheet": f"{lease.folder}/contact-sheet.png", **counts, **files})
    found = report_of(world, job_id).decompress
    assert found is not None
    assert found.sheet == world.root / lease.folder / "contact-sheet.png"
    assert (found.images, found.verified, found.compressed_by) == (4, 4, 2)


def test_a_submitted_compression_says_what_it_does(world: World, run: Runner) -> None:
    world.submit(TRAIN, name="codec")
    found = run("submit", "compress", "--model", "job:1", "--dataset", "digits", "-n", "10")
    assert "compress 10 images of digits with job:1" in found.err
    found = run("submit", "decompress", "--output", "2")
    assert "decompress the files of job 2" in found.err
    shown = run("job", "show", 2, "--spec").out
    assert "part: held-out" in shown


@pytest.mark.usefixtures("compressed")
def test_the_grids_of_a_codec_are_not_called_generated(world: World) -> None:
    (folder,) = (world.root / "runs" / "1").glob("*/*")
    save_png(folder / "samples-000000500.png", contact_sheet(IMAGES))
    page = render(report_of(world, 1))
    assert "what it is decoded to after 500 images" in page
    assert "from fixed noise" not in page

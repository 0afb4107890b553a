"""Images to files and back, through the whole line of real processes."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from db.tables.models import Evaluation
from imagemodels.data import load_dataset
from imagemodels.data.digits import read_digits
from pixmill.errors import Conflict, DatasetError, SpecError, UserError
from pixmill.specs import CompressSpec, DecompressSpec, GenerateSpec, Spec, TrainSpec
from pixmill.states import State
from storage.filesets import FileSet, StoredImage, pixels_digest, read_manifest
from storage.png import decode_png
from tests.worker.conftest import digits_model
from tests.worker.line import Line

MODEL = "small-codec@1"


def codec_model(line: Line) -> str:
    """A small codec for digits of 8 pixels, trained once on each line."""
    options: dict[str, bool | int | float | str] = {"width": 8, "blocks": 0, "levels": "5,5"}
    spec = TrainSpec(model="fsq-ae", dataset="digits", images=2_000, options=options)
    line.run(spec, name="small-codec", key="small-codec")
    return MODEL


def compressed(line: Line, **changes: Any) -> tuple[int, dict[str, Any], FileSet]:
    job = line.run(CompressSpec(model=codec_model(line), **{"n": 70, **changes}))
    result = line.task(job).result
    assert result is not None
    return job, result, read_manifest(line.path(result["manifest"]))


def failure(line: Line, spec: Spec) -> str:
    job = line.submit(spec)
    assert line.wait(job) is State.FAILED
    message = line.task(job).message
    assert message is not None
    return message


def test_held_out_images_become_files_and_the_files_the_recorded_images_again(line: Line) -> None:
    job, result, files = compressed(line)
    folder = line.path(str(result["manifest"])).parent
    sizes = [(folder / "images" / image.name).stat().st_size for image in files.images]
    assert sum(sizes) == files.size_bytes == result["bytes"]
    assert result["bits_per_pixel"] == 8 * sum(sizes) / (70 * 64)  # whole files, whole images
    rates = {rate["name"]: rate for rate in result["rates"]}
    assert rates[MODEL]["bits_per_pixel"] < 0.5 * rates["PNG"]["bits_per_pixel"]
    assert (rates["PNG"]["psnr"], rates["PNG"]["ssim"]) == (None, 1.0)
    assert rates["WebP 0"]["psnr"] < rates["WebP 90"]["psnr"]
    with line.database.read() as session:
        row = session.scalars(select(Evaluation).where(Evaluation.job_id == job)).one()
    measured = {metric["name"]: metric["value"] for metric in row.metrics}
    assert measured == {f"{name}@held_out": rates[MODEL][name] for name in ("bits_per_pixel", "psnr", "ssim")}
    assert (row.image_count, row.output_job_id) == (70, job)
    with Image.open(line.path(str(result["strips"]))) as strips:
        assert strips.width > strips.height

    back = line.run(DecompressSpec(output=job))
    again = line.task(back).result
    assert again is not None
    assert (again["images"], again["verified"], again["differing"]) == (70, 70, 0)
    pngs = read_manifest(line.path(again["manifest"]))
    assert [image.pixels_sha256 for image in pngs.images] == [image.pixels_sha256 for image in files.images]
    for image in pngs.images[:5]:
        content = (line.path(again["manifest"]).parent / "images" / image.name).read_bytes()
        assert pixels_digest(decode_png(content)) == image.pixels_sha256


def test_the_same_images_give_the_same_files_in_every_job(sqlite_line: Line) -> None:
    first, second = (compressed(sqlite_line, n=20)[2] for _ in range(2))
    assert first == second


def test_what_is_compressed_is_what_training_never_saw_unless_all_is_asked_for(sqlite_line: Line) -> None:
    _job, result, held_out = compressed(sqlite_line, n=10)
    chosen = load_dataset("digits").test_indices[:10]
    assert [image.name for image in held_out.images] == [f"{number:06d}.pmc" for number in chosen]
    assert result["warnings"] == []
    _job, result, everything = compressed(sqlite_line, n=50, part="all")
    assert [image.name for image in everything.images] == [f"{number:06d}.pmc" for number in range(50)]
    assert "trained on most of these images" in str(result["warnings"])
    again = set(everything.images) & set(held_out.images)
    assert len(again) == (chosen < 50).sum() > 0  # the very same files


def test_a_folder_of_ones_own_is_compressed_as_a_whole(sqlite_line: Line, tmp_path: Path) -> None:
    images, _labels = read_digits()
    for number, pixels in enumerate(images[:7]):
        Image.fromarray(pixels[:, :, 0]).resize((20, 20)).convert("RGB").save(tmp_path / f"{number}.png")
    _job, result, files = compressed(sqlite_line, dataset=f"folder:{tmp_path}")
    assert [image.name for image in files.images] == [f"{number:06d}.pmc" for number in range(7)]
    assert "trained on other data" in str(result["warnings"])


def test_files_that_were_carried_elsewhere_are_decoded_with_and_without_their_manifest(
    sqlite_line: Line, tmp_path: Path
) -> None:
    _job, result, files = compressed(sqlite_line, n=5)
    shutil.copytree(sqlite_line.path(str(result["manifest"])).parent, tmp_path / "set")
    for folder, verified in ((tmp_path / "set", 5), (tmp_path / "set" / "images", 0)):
        job = sqlite_line.run(DecompressSpec(files=str(folder), model=MODEL))
        found = sqlite_line.task(job).result
        assert found is not None
        assert (found["images"], found["verified"]) == (5, verified)
        pngs = read_manifest(sqlite_line.path(found["manifest"]))
        assert [image.pixels_sha256 for image in pngs.images] == [image.pixels_sha256 for image in files.images]


def test_damaged_and_foreign_files_are_named_in_one_line(sqlite_line: Line, tmp_path: Path) -> None:
    _job, result, files = compressed(sqlite_line, n=5)
    folder = tmp_path / "set"
    shutil.copytree(sqlite_line.path(str(result["manifest"])).parent, folder)
    first, loose = folder / "images" / files.images[0].name, tmp_path / "loose"
    whole = first.read_bytes()
    first.write_bytes(whole[:-1])
    with_manifest = DecompressSpec(files=str(folder), model=MODEL)
    assert f"{first.name} has changed: its SHA-256" in failure(sqlite_line, with_manifest)
    first.unlink()
    assert f"{first.name} is missing" in failure(sqlite_line, with_manifest)
    loose.mkdir()
    without = DecompressSpec(files=str(loose), model=MODEL)
    assert "holds neither manifest.json nor files *.pmc" in failure(sqlite_line, without)
    for content, message in (
        (whole[:-1], "one.pmc: it is cut short"),
        (whole[:4] + bytes(4) + whole[8:], "one.pmc: it is of model 00000000…, not of"),
        (b"\x89PNG\r\n\x1a\n" + whole, "one.pmc: it is no compressed image of pixmill"),
    ):
        (loose / "one.pmc").write_bytes(content)
        found = failure(sqlite_line, without)
        assert message in found
        assert "\n" not in found


def test_pixels_that_are_not_the_recorded_ones_fail_on_the_same_machine_and_are_counted_on_another(
    sqlite_line: Line, tmp_path: Path
) -> None:
    _job, result, files = compressed(sqlite_line, n=5)
    folder = tmp_path / "set"
    shutil.copytree(sqlite_line.path(str(result["manifest"])).parent, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["images"][2]["pixels_sha256"] = pixels_digest(np.zeros((8, 8, 1), dtype=np.uint8))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    spec = DecompressSpec(files=str(folder), model=MODEL)
    assert f"{files.images[2].name}: its pixels are not those recorded" in failure(sqlite_line, spec)
    manifest["computed_on"] = "torch 1.0, cuda of long ago"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    found = sqlite_line.task(sqlite_line.run(spec)).result
    assert found is not None
    assert (found["verified"], found["differing"]) == (4, 1)


def test_what_cannot_be_done_is_refused_when_it_is_asked_for(sqlite_line: Line, tmp_path: Path) -> None:
    generator, codec = digits_model(sqlite_line), codec_model(sqlite_line)
    generate = sqlite_line.run(GenerateSpec(model=generator, n=5))
    for spec, error, message in (
        (CompressSpec(model=generator), SpecError, "is a generator \\(vae\\): it compresses no images"),
        (GenerateSpec(model=codec, n=5), SpecError, "is a codec \\(fsq-ae\\): it makes no images"),
        (CompressSpec(model=codec, dataset="digitz"), DatasetError, "did you mean 'digits'"),
        (DecompressSpec(), SpecError, "name one of the two"),
        (DecompressSpec(output=1, files="."), SpecError, "name one of the two"),
        (DecompressSpec(output=1, model=codec), SpecError, "knows its model"),
        (DecompressSpec(files=str(tmp_path)), SpecError, "the model that wrote the files in"),
        (DecompressSpec(files=str(tmp_path / "no"), model=codec), DatasetError, "there is no folder"),
        (
            DecompressSpec(output=generate),
            UserError,
            "is of kind generate; decompress reads the files of a compress job",
        ),
        (TrainSpec(model="fsq-ae", dataset="digits", conditional=True), SpecError, "learns no classes"),
        (TrainSpec(model="fsq-ae", dataset="digits", options={"levels": "8,1"}), SpecError, "numbers from 2 to 16"),
    ):
        with pytest.raises(error, match=message):
            sqlite_line.submit(spec)


def test_files_wait_for_the_job_that_writes_them_and_not_for_one_that_failed(sqlite_line: Line, tmp_path: Path) -> None:
    codec = codec_model(sqlite_line)
    (tmp_path / "gone").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "gone" / "one.png")
    spec = CompressSpec(model=codec, dataset=f"folder:{tmp_path / 'gone'}")
    first = sqlite_line.submit(spec)
    then = sqlite_line.submit(DecompressSpec(output=first))
    assert sqlite_line.wait(then) is State.SUCCEEDED
    (tmp_path / "gone" / "one.png").write_bytes(b"no picture")
    broken = sqlite_line.submit(spec)
    assert sqlite_line.wait(broken) is State.FAILED
    with pytest.raises(Conflict, match="its output is not complete"):
        sqlite_line.submit(DecompressSpec(output=broken))


def test_a_manifest_cannot_name_a_file_outside_its_folder() -> None:
    digest = "0" * 64
    for name in ("../one.pmc", "/etc/passwd", "a/b.pmc", ".hidden", ""):
        with pytest.raises(ValueError, match="no entry of a manifest"):
            StoredImage(name, 1, digest, digest)

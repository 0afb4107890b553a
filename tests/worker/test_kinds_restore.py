"""Restoring, as a worker does it: training, and images of folders and data sets through the line of generated ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from client.jobreport.restoration import fidelity_table
from imagemodels.card import Metadata
from imagemodels.data import load_dataset
from imagemodels.evaluation.restorations import RestorationReport, damaged_images, fidelity
from imagemodels.export import load_model, save_model
from imagemodels.networks.restoration_specs import DegradationName, DegradationSpec, RestorerSpec
from imagemodels.networks.unet import UNet
from imagemodels.restoration import Restorer
from imagemodels.runtime import Runtime
from pixmill.errors import CorruptFile
from pixmill.specs import RestoreSpec, TrainSpec
from reports.data import JobReport, TrainSection
from reports.html import render
from storage.markers import read_marker
from storage.outputs import verify_output
from storage.restored import export_restored
from storage.shards import ShardRecord, read_images, read_rows
from tests.reports.examples import START
from tests.worker.desks import Listener
from tests.worker.line import Line
from worker.assignment import ModelInput, ShardInput

RUNTIME = Runtime(threads=1)


def folder_of(path: Path, *, height: int = 12, width: int = 19, count: int = 5) -> Path:
    """Real digits, enlarged to pictures that are larger than the model's, and a mask for each with a hole in it."""
    for number, pixels in enumerate(load_digits().images[:count]):
        image = Image.fromarray((pixels * 15).astype("uint8")).resize((width, height))
        mask = np.zeros((height, width), np.uint8)
        mask[2:5, number + 1 : number + 5] = 255
        for kind, picture in (("images", image), ("masks", Image.fromarray(mask))):
            target = path / kind / f"{number}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.save(target)
    return path


def model_in(root: Path, name: DegradationName, **strength: Any) -> tuple[ModelInput, Restorer]:
    """A restorer with the weights that it begins with, exported."""
    torch.manual_seed(7)
    damage = DegradationSpec(name=name, **strength)
    spec = RestorerSpec(
        image_size=8, channels=1, width=4, halvings=1, blocks=0, skips=True, residual=True, degradation=damage
    )
    model = Restorer(UNet(spec), RUNTIME)
    save_model(root / "model", model, Metadata(preset="conv-ae", images_seen=0, seed=0))
    described = ModelInput(
        reference="small@1",
        folder="model",
        digest=model.digest,
        image_size=8,
        channels=1,
        classes=(),
        dataset="digits",
        dataset_fingerprint="f",
    )
    return described, model


def attempt(root: Path, role: str, spec: RestoreSpec, model: ModelInput, **fields: Any) -> tuple[dict[str, Any], Any]:
    """The answer of one attempt in this process, and the shards that it published."""
    listener = Listener(root, role=role, spec=spec.model_dump(mode="json"), model=model, **fields)
    answer = listener.run().answer
    shards = [
        ShardInput(folder=listener.desk.assignment.folder, record=found["record"]) for found in listener.said("shard")
    ]
    listener.close()
    return answer, shards


def whole_job(root: Path, spec: RestoreSpec, model: ModelInput) -> tuple[Path, dict[str, Any]]:
    """Both tasks of a job; the folder of its data set, and the result."""
    made, shards = attempt(root, "generate", spec, model)
    assert made["say"] == "succeeded", made
    answer, _ = attempt(root, "assemble", spec, model, epoch=4, shards=tuple(shards))
    assert answer["say"] == "succeeded", answer
    result: dict[str, Any] = answer["result"]
    output = root / result["output"]
    records = [ShardRecord.from_json(shard.record) for shard in shards]
    assert verify_output(output, records).problems == ()
    return output, result


def test_a_job_fills_the_holes_of_large_images_and_leaves_all_else_as_it_was(sqlite_line: Line, tmp_path: Path) -> None:
    options: dict[str, bool | int | float | str] = {"width": 4, "degradation": "mask", "hole_shape": "irregular"}
    train = TrainSpec(model="conv-ae", dataset="digits", images=64, options=options)
    trained = sqlite_line.submit(train, name="holes")
    folder = folder_of(tmp_path)
    spec = RestoreSpec(model=f"job:{trained}", input=str(folder / "images"), mask=str(folder / "masks"), shard_size=3)
    first, second = sqlite_line.run(spec), sqlite_line.run(spec)
    assert sqlite_line.job(second).spec["model"] == "holes@1"
    result = sqlite_line.tasks(first)[-1].result
    assert result is not None
    assert (result["images"], result["shards"], result["fidelity"]) == (5, 2, None)
    output = sqlite_line.path(result["output"])
    restored = np.concatenate([read_images(output, number)[0] for number in (0, 1)])
    for number in range(5):
        given, mask = (np.asarray(Image.open(folder / kind / f"{number}.png")) for kind in ("images", "masks"))
        known = mask < 128
        assert np.array_equal(restored[number, ..., 0][known], given[known])
        assert (restored[number, ..., 0][~known] != given[~known]).any()
    (made_from,) = {(row.width, row.height) for row in read_rows(output, 0)}
    assert made_from == (19, 12)
    records = [ShardRecord.from_json(shard.record) for shard in sqlite_line.shards(first)]
    assert [shard.record for shard in sqlite_line.shards(second)] == [record.to_json() for record in records]
    assert verify_output(output, records).problems == ()
    assert export_restored(output, records, tmp_path / "out")[0] == 5
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "4.png")), restored[4, ..., 0])


def test_an_attempt_goes_on_after_the_shards_that_are_published(tmp_path: Path) -> None:
    model, _ = model_in(tmp_path, "noise")
    spec = RestoreSpec(model="small@1", input=f"folder:{folder_of(tmp_path) / 'images'}", shard_size=2)
    _, whole = attempt(tmp_path, "generate", spec, model)
    _, rest = attempt(tmp_path, "generate", spec, model, epoch=4, params={"published_shards": [0, 2]})
    assert [shard.record["number"] for shard in whole] == [0, 1, 2]
    assert [shard.record for shard in rest] == [whole[1].record]
    origin = read_marker(tmp_path / whole[2].folder, 2).meta.origin
    assert origin is not None
    assert [name for name, _sha256 in origin["files"]] == ["4.png"]


def test_a_folder_that_changes_between_two_attempts_makes_no_data_set(tmp_path: Path) -> None:
    model, _ = model_in(tmp_path, "noise")
    folder = folder_of(tmp_path) / "images"
    spec = RestoreSpec(model="small@1", input=f"folder:{folder}")
    _, shards = attempt(tmp_path, "generate", spec, model)
    (folder / "2.png").rename(folder / "7.png")
    answer, _ = attempt(tmp_path, "assemble", spec, model, epoch=4, shards=tuple(shards))
    assert answer["say"] == "failed"
    assert "has changed while its images were restored" in answer["message"]


def test_whole_images_of_a_data_set_are_damaged_restored_and_measured(tmp_path: Path) -> None:
    described, model = model_in(tmp_path, "noise", noise_sigma=0.1)
    spec = RestoreSpec(model="small@1", input="digits", part="held-out", degrade=True, n=20, seed=5, shard_size=8)
    output, result = whole_job(tmp_path, spec, described)
    data = load_dataset("digits")
    pairs = damaged_images(data.images[data.test_indices[:20]], model.damage, seed=5)
    restored = np.concatenate([read_images(output, number)[0] for number in range(3)])
    assert np.array_equal(restored, model.restore(pairs.images))
    for way, images in (("restored", restored), ("damaged", pairs.images)):
        expected = fidelity(images, pairs.truth)
        assert result["fidelity"][way]["psnr"] == pytest.approx(expected.psnr)
        assert result["fidelity"][way]["ssim"] == pytest.approx(expected.ssim)
    with Image.open(tmp_path / result["contact_sheet"]) as sheet:
        assert sheet.width > sheet.height


def test_a_model_of_low_resolution_makes_images_larger(tmp_path: Path) -> None:
    described, _ = model_in(tmp_path, "downsample", downsample_factor=3)
    spec = RestoreSpec(model="small@1", input=f"folder:{folder_of(tmp_path) / 'images'}", n=2)
    output, _ = whole_job(tmp_path, spec, described)
    assert read_images(output, 0)[0].shape == (2, 36, 57, 1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: Image.new("L", (9, 9)).save(path / "images/9.png"), "the images have 2 sizes: 0.png is 19 × 12"),
        (lambda path: (path / "masks/3.png").unlink(), "3.png has no mask in"),
        (
            lambda path: Image.new("L", (9, 9)).save(path / "masks/0.png"),
            "mask 0.png is 9 × 9 pixels, and its image 19",
        ),
        (lambda path: (path / "images/3.png").write_bytes(b"no image"), "3.png: not an image of a known format"),
        (lambda path: [file.unlink() for file in (path / "images").iterdir()], "no image"),
    ],
)
def test_files_that_do_not_go_together_are_named_before_anything_is_restored(
    tmp_path: Path, spoil: Any, message: str
) -> None:
    model, _ = model_in(tmp_path, "mask")
    folder = folder_of(tmp_path)
    spoil(folder)
    spec = RestoreSpec(model="small@1", input=f"folder:{folder / 'images'}", mask=str(folder / "masks"))
    answer, shards = attempt(tmp_path, "generate", spec, model)
    assert (answer["say"], answer["reason"], shards) == ("failed", "UserError", [])
    assert message in answer["message"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A pix2pix of pairs: digits, and their negatives."""
    root = tmp_path_factory.mktemp("storage")
    for number, pixels in enumerate(load_digits().images[:40]):
        bright = (pixels * 15).astype("uint8")
        path = root / "pairs" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.concatenate((255 - bright, bright), axis=1)).save(path)
    options: dict[str, bool | int | float | str] = {"width": 4, "halvings": 1, "discriminator_width": 4}
    spec = TrainSpec(model="pix2pix", dataset=f"pairs:{root / 'pairs'}", images=96, options=options)
    listener = Listener(root, spec=spec.model_dump())
    answer = listener.run().answer
    listener.close()
    assert answer["say"] == "succeeded", answer
    return root, answer["result"]


def test_a_model_of_pairs_is_exported_and_measured_on_held_out_ones(trained: tuple[Path, dict[str, Any]]) -> None:
    root, result = trained
    model = load_model(root / result["folder"], RUNTIME)
    assert isinstance(model, Restorer)
    assert (model.damage.name, result["metric"]["name"]) == ("given", "psnr")
    assert result["dataset"]["description"]["pairs"]
    found = RestorationReport.from_json(json.loads((root / result["restoration"]).read_text()))
    assert (found.n, found.held_out, found.damage) == (8, True, "given")
    assert result["metric"]["value"] == pytest.approx(found.restored.psnr)


def test_its_report_has_the_figures_before_and_after(trained: tuple[Path, dict[str, Any]]) -> None:
    root, result = trained
    table = fidelity_table(root / result["restoration"])
    section = TrainSection(restoration=table, grids_show="restored")
    page = render(JobReport(job_id=1, name="a", kind="train", state="succeeded", created_at=START, train=section))
    assert "Means over 8 held-out images; damage: given." in page
    assert f"from {table.lines[1].psnr:.2f} to {table.lines[0].psnr:.2f} dB" in page
    grids = sorted((root / result["folder"]).parent.glob("samples-*.png"))
    with Image.open(grids[0]) as image:
        assert image.width > image.height  # twelve columns, two rows of eight held-out pairs


def test_other_files_hold_no_figures(tmp_path: Path) -> None:
    (tmp_path / "restoration.json").write_text('{"n": 3}')
    with pytest.raises(CorruptFile, match="holds no figures of restored images"):
        fidelity_table(tmp_path / "restoration.json")

"""Edited images, from the source to the row that says what was done."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from client.jobreport.building import build_report
from imagemodels.classifier import Classifier
from imagemodels.data import load_dataset
from imagemodels.editing.directions import Direction
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import ConvDecoderSpec, ConvEncoderSpec
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from pixmill.specs import EditSpec
from reports.html import render
from scheduler.editing import check_edit
from storage.manifest import Edit, read_metadata
from storage.outputs import verify_output
from storage.records import ShardRecord
from storage.shards import read_images, read_rows
from tests.worker.conftest import digits_model
from tests.worker.desks import Listener
from tests.worker.line import Line
from tests.worker.test_kinds_generate import exported
from worker.device.edits import AttributeEdits, ClassChanges, Edits, Interpolations
from worker.device.sources import MadeSources

RUNTIME = Runtime(threads=1)
DIGITS = load_dataset("digits")
CLASSES = ("a", "b", "c")


def generator(num_classes: int = 0, *, encoder: bool = False) -> Generator:
    torch.manual_seed(2)
    shape: dict[str, Any] = {"image_size": 8, "channels": 1, "num_classes": num_classes}
    network = ConvDecoder(ConvDecoderSpec(**shape, latent_size=6, width=4))
    if encoder:
        network.use_encoder(ConvEncoder(ConvEncoderSpec(**shape, outputs=12, width=4, feature_size=8)))
    return Generator(network, RUNTIME)


def classifier() -> Classifier:
    torch.manual_seed(3)
    return Classifier(ConvEncoder(ConvEncoderSpec(image_size=8, channels=1, outputs=2, width=4)), RUNTIME)


def edit(way: str, **changes: Any) -> EditSpec:
    return check_edit(EditSpec(**{"model": "one@1", "way": way, "seed": 5, **changes}))


def made(
    maker: Callable[..., Edits], spec: EditSpec, model: Generator, chosen: list[list[int]], *more: object
) -> tuple[Edits, Any]:
    """A maker on images of the model's own, and all that it makes (edits, images each, H, W, C)."""
    edits = maker(spec, model, MadeSources(model, spec.seed), np.array(chosen), *more)
    images, _labels = edits.make(np.arange(spec.images))
    return edits, images.reshape(-1, spec.images_each, *images.shape[1:])


def test_an_attribute_moves_the_latents_and_strength_0_leaves_them() -> None:
    model = generator()
    direction = Direction(torch.eye(6, dtype=torch.float64)[2], 1.5, 0.0)
    spec = edit("attribute", attribute="x", n=2, strengths=[0.0, 2.0])
    edits, found = made(AttributeEdits, spec, model, [[4], [9]], direction)
    latents = model.latents(5, np.array([4, 9]))
    assert np.array_equal(found[:, 0], model.sample(5, np.array([4, 9])))
    assert np.array_equal(found[:, 1], found[:, 0])
    assert np.array_equal(found[:, 2], model.decode(latents + np.float32(3) * np.eye(6, dtype=np.float32)[2], None))
    assert edits.edits(np.array([3, 5])) == [Edit(9), Edit(9, target="x", strength=2.0)]


def test_a_way_leads_from_one_image_to_another_and_keeps_to_the_class_of_the_first() -> None:
    model = generator(3)
    spec = edit("interpolate", indices=[3, 8, 4, 1], steps=5)
    edits, found = made(Interpolations, spec, model, [[3, 8], [4, 1]])
    assert np.array_equal(found[:, 1], found[:, 0])  # it begins at the first image
    ends = model.latents(5, np.array([8, 1])), np.array([0, 1])
    assert np.array_equal(found[:, 5], model.decode(*ends))  # the second one, in the class of the first
    assert np.array_equal(found[:, 6], model.sample(5, np.array([8, 1])))
    _images, labels = edits.make(np.arange(7))
    assert labels.tolist() == [0, 1, 1, 1, 1, 1, 0]
    rows = edits.edits(np.array([0, 2, 6, 8]))
    assert rows == [Edit(3), Edit(3, other=8, strength=0.25), Edit(8), Edit(4, other=1, strength=0.0)]


def test_another_class_keeps_the_latent() -> None:
    model = generator(3)
    spec = edit("class", classes=["c", "a"], n=2)
    edits, found = made(ClassChanges, spec, model, [[0], [1]], np.array([2, 0]))
    numbers = np.array([0, 1])
    assert np.array_equal(found[0, 2], found[0, 0])  # image 0 is of class a
    latents = model.latents(5, numbers)
    assert np.array_equal(found[:, 1], model.decode(latents, np.array([2, 2])))
    assert not np.array_equal(found[:, 1], found[:, 2])
    assert edits.edits(np.array([4])) == [Edit(1, target="c")]


def test_every_image_can_be_made_on_its_own() -> None:
    spec = edit("interpolate", n=3, steps=4)
    edits, _found = made(Interpolations, spec, generator(), [[0, 1], [2, 3], [4, 5]])
    whole, labels = edits.make(np.arange(18))
    for index in (0, 3, 11, 17):
        image, label = edits.make(np.array([index]))
        assert np.array_equal(image[0], whole[index])
        assert label[0] == labels[index]
    assert edits.batch_images % spec.images_each == 0


@pytest.fixture
def run_task(tmp_path: Path) -> Iterator[Any]:
    """Runs the only task of an edit job; gives its desk and the answer."""
    made_here: list[Listener] = []

    def run(model: Generator | Classifier, spec: EditSpec, classes: tuple[str, ...] = ()) -> tuple[Listener, Any]:
        described = exported(tmp_path, model)
        described = type(described)(**{**vars(described), "classes": classes})
        fields: dict[str, Any] = {
            "spec": spec.model_dump(),
            "params": {"first_shard": 0, "shards": 1},
            "epoch": len(made_here) + 1,
        }
        made_here.append(Listener(tmp_path, role="generate", model=described, **fields))
        return made_here[-1], made_here[-1].run().answer

    yield run
    for listener in made_here:
        listener.close()


def test_images_of_a_data_set_are_moved_along_a_direction_learnt_from_labels(
    run_task: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "job")
    model = generator(encoder=True)
    spec = edit("attribute", attribute="3", against="8", dataset="digits", n=3, strengths=[0.0, 2.0])
    (first, answer), (second, _) = run_task(model, spec), run_task(model, spec)
    assert answer["say"] == "succeeded", answer
    images, labels = read_images(first.desk.folder, 0)
    chosen = DIGITS.test_indices[:3]
    assert np.array_equal(images[::3], DIGITS.images[chosen])
    assert np.array_equal(images[1::3], model.decode(model.encode(DIGITS.images[chosen]), None))
    assert not np.array_equal(images[2::3], images[1::3])
    assert labels is not None
    assert labels.tolist() == [0, 1, 1] * 3
    rows = [row.edit for row in read_rows(first.desk.folder, 0)]
    assert rows[3:6] == [Edit(chosen[1]), *(Edit(chosen[1], target="3", strength=at) for at in (0.0, 2.0))]
    told = json.loads(read_metadata(first.desk.folder / "shard-000000.parquet")["edit"])
    assert (told["way"], told["dataset"], told["dataset_fingerprint"]) == ("attribute", "digits", DIGITS.fingerprint)
    for ending in ("tar", "parquet"):
        same = {(listener.desk.folder / f"shard-000000.{ending}").read_bytes() for listener in (first, second)}
        assert len(same) == 1
    assert "direction towards 3 by" in caplog.text


def test_pixels_are_moved_towards_a_style(run_task: Any, tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(DIGITS.images[number, :, :, 0]).save(tmp_path / f"{number}.png")
    folder = f"folder:{tmp_path}"
    spec = edit("optimise", dataset=folder, indices=[2, 0], style="digits", style_index=7, iterations=3)
    listener, answer = run_task(classifier(), spec)
    assert answer["say"] == "succeeded", answer
    images, _labels = read_images(listener.desk.folder, 0)
    assert np.array_equal(images[[0, 1, 3]], DIGITS.images[[2, 7, 0]])
    assert not np.array_equal(images[2], images[0])
    assert [row.edit for row in read_rows(listener.desk.folder, 0)][:3] == [Edit(2), Edit(7), Edit(2, other=7)]


@pytest.mark.parametrize(
    ("model", "classes", "spec", "message"),
    [
        (generator(encoder=True), (), edit("interpolate", dataset="digits", indices=[0, 1797]), "image 1797 was asked"),
        (generator(encoder=True), (), edit("interpolate", dataset="digits", n=900), "1,800 are needed for 900 edits"),
        (generator(encoder=True), (), edit("attribute", attribute="x"), "has no class 'x'; classes: 0, 1, 2"),
        (generator(3, encoder=True), CLASSES, edit("class", classes=["a"], dataset="digits"), "has images of class"),
        (generator(), (), edit("interpolate", dataset="digits"), "model one@1 is a generator: it has no encoder"),
        (generator(), (), edit("optimise", style="digits"), "it has no features to compare"),
        (classifier(), (), edit("interpolate"), "model one@1 is a classifier: it makes no images"),
        (classifier(), (), edit("optimise", style="digits", style_index=1797), "image 1797 is no style"),
    ],
)
def test_what_only_data_and_model_can_tell_is_refused_by_the_job_in_one_line(
    run_task: Any, model: Generator | Classifier, classes: tuple[str, ...], spec: EditSpec, message: str
) -> None:
    _listener, answer = run_task(model, spec, classes)
    assert (answer["say"], answer["reason"]) == ("failed", "UserError")
    assert message in answer["message"]
    assert "\n" not in answer["message"]


def test_an_edit_job_publishes_a_data_set_and_a_report_with_before_and_after(sqlite_line: Line) -> None:
    spec = EditSpec(
        model=digits_model(sqlite_line), way="attribute", attribute="3", examples="digits", dataset="digits", n=4
    )
    job = sqlite_line.run(spec, name="to-three")
    result = sqlite_line.tasks(job)[-1].result
    assert result is not None
    assert (result["images"], result["class_counts"]) == (20, {"source": 4, "edited": 16})
    output = sqlite_line.path(result["output"])
    records = [ShardRecord.from_json(shard.record) for shard in sqlite_line.shards(job)]
    assert verify_output(output, records).problems == ()
    told = json.loads((output / "dataset.json").read_text())["details"]["edit"]
    assert (told["attribute"], told["images_each"]) == ("3", 5)
    with Image.open(output / "contact-sheet.png") as sheet:
        assert sheet.width > sheet.height  # four edits of five images
    with sqlite_line.database.read() as session:
        report = build_report(session, sqlite_line.settings, job)
    assert report.generate is not None
    assert "moved towards 3 by -1, 0, 1, 2" in report.generate.sheet_caption
    assert [row["strength"] for row in report.generate.manifest_rows][:5] == [None, -1.0, 0.0, 1.0, 2.0]
    assert "Before and after" in render(report)

"""Compress and decompress tasks at a desk in this process: what is refused, and what a recorded pixel depends on."""

import json
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from imagemodels.card import Metadata
from imagemodels.codec import Codec
from imagemodels.data import ImageDataset, load_dataset
from imagemodels.export import save_model
from imagemodels.runtime import Runtime
from imagemodels.shell import train
from pixmill.specs import CompressSpec, DecompressSpec, Spec
from storage.filesets import read_manifest
from tests.imagemodels.data.pictures import write_class_folders
from tests.worker.desks import Listener
from worker.assignment import ModelInput
from worker.device.attempt import run_attempt
from worker.device.warm import WarmModels

Desks = Callable[..., Listener]
EPOCHS = count()


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits", image_size=8)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, digits: ImageDataset) -> Path:
    """A storage root with a codec in it, which has learned next to nothing."""
    root = tmp_path_factory.mktemp("storage")
    codec = train("fsq-ae", digits, images=32, runtime=Runtime(threads=1), width=4, blocks=0, levels="5,5")
    save_model(root / "codec", codec, Metadata(preset="fsq-ae", images_seen=32, seed=0))
    return root


@pytest.fixture
def desks(storage: Path, digits: ImageDataset) -> Iterator[Desks]:
    """Makes desks at which the codec works."""
    made: list[Listener] = []

    def make(spec: Spec, **model: Any) -> Listener:
        described = ModelInput(
            **{
                "reference": "codec@1",
                "folder": "codec",
                "digest": "d",
                "image_size": 8,
                "channels": 1,
                "classes": (),
                "dataset": "digits",
                "dataset_fingerprint": digits.fingerprint,
                **model,
            }
        )
        listener = Listener(storage, epoch=next(EPOCHS), role=spec.kind, spec=spec.model_dump(), model=described)
        made.append(listener)
        return listener

    yield make
    for listener in made:
        listener.close()


def short_of_memory(storage: Path, after: int) -> WarmModels:
    """Models that are warm; so many calls of the decoder later more than 32 images at a time are too much for it."""
    warm = WarmModels("cpu", 1)
    warm.prepare(8)
    codec = warm.get(storage / "codec", "d", "fp32")
    assert isinstance(codec, Codec)
    calls = count()

    def refuse(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if next(calls) >= after and len(inputs[0]) > 32:
            raise torch.OutOfMemoryError("CUDA out of memory")

    codec.network.decoder.register_forward_pre_hook(refuse)
    return warm


def compressed(desks: Desks, storage: Path) -> Path:
    """The manifest of two batches."""
    answer = desks(CompressSpec(model="codec", part="held-out", n=70)).run().answer
    assert answer["say"] == "succeeded", answer
    return storage / str(answer["result"]["manifest"])


def spoilt(manifest: Path, copy: Path, *numbers: int) -> Path:
    """A copy of the set that records other pixels of some images."""
    shutil.copytree(manifest.parent, copy)
    values = json.loads(manifest.read_text())
    for number in numbers:
        values["images"][number]["pixels_sha256"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(values))
    return copy


def test_what_the_bits_depend_on_is_recorded(desks: Desks, storage: Path) -> None:
    manifest = read_manifest(compressed(desks, storage))
    assert manifest.computed_on.endswith("with 1 thread, batches of 64")
    short = desks(CompressSpec(model="codec", part="held-out", n=70))
    answer = run_attempt(short.desk, short_of_memory(storage, after=1)).answer
    assert answer["say"] == "succeeded", answer
    halved = read_manifest(storage / answer["result"]["manifest"]).computed_on
    assert halved == f"{manifest.computed_on}; {manifest.computed_on.replace('of 64', 'of 32')}"


def test_pixels_are_held_against_those_recorded_as_long_as_the_memory_does(
    desks: Desks, storage: Path, tmp_path: Path
) -> None:
    manifest = compressed(desks, storage)
    for copy, number in ((tmp_path / "first", 3), (tmp_path / "second", 67)):
        spec = DecompressSpec(files=str(spoilt(manifest, copy, number)), model="codec")
        assert desks(spec).run().answer["reason"] == "CorruptFile"
    short = desks(DecompressSpec(files=str(tmp_path / "second"), model="codec"))
    answer = run_attempt(short.desk, short_of_memory(storage, after=1)).answer
    assert answer["say"] == "succeeded", answer
    assert (answer["result"]["images"], answer["result"]["differing"]) == (70, 1)
    short = desks(DecompressSpec(files=str(tmp_path / "first"), model="codec"))
    answer = run_attempt(short.desk, short_of_memory(storage, after=1)).answer
    assert "its pixels are not those recorded" in answer["message"], "the first batch was computed in the same way"


def test_of_its_own_data_set_a_codec_leaves_out_what_cannot_be_read(
    desks: Desks, storage: Path, tmp_path: Path
) -> None:
    place = f"folder:{write_class_folders(tmp_path / 'pets', {'cat': 9}, (8, 8))}"
    (tmp_path / "pets" / "cat" / "torn.png").write_bytes(b"no picture")
    data = load_dataset(place, image_size=8, channels=1, on_bad_image="skip")
    trained = {"dataset": place, "dataset_fingerprint": data.fingerprint}
    desk = desks(CompressSpec(model="codec", part="held-out"), **trained)
    answer = desk.run().answer
    assert answer["say"] == "succeeded", answer
    assert (answer["result"]["images"], answer["result"]["warnings"]) == (len(data.test_indices), [])
    assert "left out cat/torn.png: not an image" in desk.log()
    answer = desks(CompressSpec(model="codec", part="held-out", dataset=place), **trained).run().answer
    assert "1 of 10 images" in answer["message"], "what is named is to be whole, unless the spec says otherwise"


def test_names_that_no_manifest_takes_are_refused_before_anything_is_decoded(desks: Desks, tmp_path: Path) -> None:
    for name in ("a.pmc", "._a.pmc", "my scan.pmc", "über.pmc"):
        (tmp_path / name).write_bytes(b"it is not even looked at")
    desk = desks(DecompressSpec(files=str(tmp_path), model="codec"))
    answer = desk.run().answer
    assert (answer["say"], answer["reason"]) == ("failed", "UserError")
    assert answer["message"] == f"{tmp_path} holds 'my scan.pmc', which cannot be a name in manifest.json, nor 1 more"
    assert "rename" in answer["hint"]
    assert not list(desk.desk.folder.glob("**/*.png"))

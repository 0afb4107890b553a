"""Compress and decompress tasks at a desk in this process: what is refused, and what a recorded pixel depends on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imagemodels.card import Metadata
from imagemodels.data import ImageDataset, load_dataset
from imagemodels.export import save_model
from imagemodels.runtime import Runtime
from imagemodels.shell import train
from pixmill.specs import DecompressSpec, Spec
from tests.worker.desks import Listener
from worker.assignment import ModelInput

Desks = Callable[..., Listener]


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
        listener = Listener(storage, epoch=len(made), role=spec.kind, spec=spec.model_dump(), model=described)
        made.append(listener)
        return listener

    yield make
    for listener in made:
        listener.close()


def test_names_that_no_manifest_takes_are_refused_before_anything_is_decoded(desks: Desks, tmp_path: Path) -> None:
    for name in ("a.pmc", "._a.pmc", "my scan.pmc", "über.pmc"):
        (tmp_path / name).write_bytes(b"it is not even looked at")
    desk = desks(DecompressSpec(files=str(tmp_path), model="codec"))
    answer = desk.run().answer
    assert (answer["say"], answer["reason"]) == ("failed", "UserError")
    assert answer["message"] == f"{tmp_path} holds 'my scan.pmc', which cannot be a name in manifest.json, nor 1 more"
    assert "rename" in answer["hint"]
    assert not list(desk.desk.folder.glob("**/*.png"))

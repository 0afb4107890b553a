import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imagemodels.card import Metadata
from imagemodels.classifier import Classifier
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import ConvDecoderSpec, ConvEncoderSpec
from imagemodels.runtime import Runtime
from imagemodels.sampling import CPU_BATCH, Generator
from pixmill.specs import GenerateSpec
from storage.encoders import decode
from storage.outputs import verify_output
from storage.records import ShardRecord
from storage.shards import read_images, read_marker, read_rows
from tests.worker.desks import Listener
from worker.assignment import ModelInput
from worker.device.exporting import export_model
from worker.device.warm import WarmModels

METADATA = Metadata(preset="vae", images_seen=64, seed=0)
RUNTIME = Runtime(threads=1)
FOLDER = "models/one"


def exported(root: Path, model: Generator | Classifier) -> ModelInput:
    export_model(root / FOLDER, model, METADATA)
    return ModelInput(
        reference="one@1",
        folder=FOLDER,
        digest=model.digest,
        image_size=8,
        channels=1,
        classes=(),
        dataset="digits",
        dataset_fingerprint="ab" * 32,
    )


def generator() -> Generator:
    return Generator(ConvDecoder(ConvDecoderSpec(image_size=8, channels=1, latent_size=4, width=4)), RUNTIME)


@pytest.fixture
def generate(tmp_path: Path) -> Iterator[Any]:
    """Makes a desk with a task of all shards of 100 images."""
    made: list[Listener] = []

    def new(
        model: Generator | Classifier,
        role: str = "generate",
        images: list[dict[str, Any]] | None = None,
        **changes: Any,
    ) -> Listener:
        spec = GenerateSpec(**{"model": "one@1", "n": 100, "shard_size": 40, **changes})
        params = {"first_shard": 0, "shards": 3} | ({"images": images} if images else {})
        fields: dict[str, Any] = {"spec": spec.model_dump(), "params": params}
        folder = f"runs/1/2/{len(made) + 1}"
        made.append(Listener(tmp_path, role=role, model=exported(tmp_path, model), folder=folder, **fields))
        return made[-1]

    yield new
    for listener in made:
        listener.close()


def test_the_result_tells_how_many_images_were_made_at_a_time(generate: Any) -> None:
    listener = generate(generator())
    result = listener.run().answer["result"]
    assert (result["images"], result["shards"], result["batch_size"]) == (100, 3, CPU_BATCH)
    shards = [(entry["number"], entry["tar_sha256"]) for entry in listener.journal() if entry["what"] == "shard"]
    announced = [message["record"] for message in listener.said("shard")]
    assert shards == [(record["number"], record["tar_sha256"]) for record in announced]
    assert len(shards) == 3


def test_every_format_holds_the_same_pixels(generate: Any) -> None:
    model = generator()
    expected = model.sample(0, np.arange(9))
    for changes, ending in (
        ({"format": "parquet", "encoder": "png-small"}, "png"),
        ({"format": "files", "encoder": "webp"}, "webp"),
        ({"format": "raw"}, "pixels"),
    ):
        listener = generate(model, n=9, shard_size=3, **changes)
        assert listener.run().answer["say"] == "succeeded"
        records = [ShardRecord.from_json(message["record"]) for message in listener.said("shard")]
        assert {(record.format, record.ending) for record in records} == {(changes["format"], ending)}
        assert verify_output(listener.desk.folder, records).problems == ()
        made = np.concatenate([read_images(listener.desk.folder, number)[0] for number in range(3)])
        np.testing.assert_array_equal(made, expected)


def test_a_warm_model_uses_full_batches_again(tmp_path: Path) -> None:
    model = exported(tmp_path, generator())
    warm = WarmModels("cpu", 1)
    first = warm.get(tmp_path / FOLDER, model.digest, "fp32")
    first.batch_size = 1  # as after a task that ran short of memory
    again = warm.get(tmp_path / FOLDER, model.digest, "fp32")
    assert again is first
    assert again.batch_size == CPU_BATCH


def test_a_classifier_makes_no_images(generate: Any) -> None:
    with torch.random.fork_rng():
        network = ConvEncoder(ConvEncoderSpec(image_size=8, channels=1, outputs=2, width=4, feature_size=8))
    answer = generate(Classifier(network, RUNTIME)).run().answer
    assert (answer["say"], answer["reason"]) == ("failed", "UserError")
    assert "model one@1 is a classifier: it makes no images" in answer["message"]


@pytest.mark.parametrize(
    "changes", [{"truncation": 0.7}, {"encoder": "webp"}, {"format": "raw"}], ids=["truncated", "webp", "raw"]
)
def test_images_that_are_made_again_one_by_one_have_the_hashes_of_their_rows(generate: Any, changes: Any) -> None:
    model = generator()
    made = generate(model, shard_size=100, **changes)
    made.run()
    rows, encoder = read_rows(made.desk.folder, 0), read_marker(made.desk.folder, 0).encoder
    for part in (np.random.default_rng(0).permutation(100).tolist(), [17]):
        images = [{"index": number, "encoder": encoder} for number in part]
        listener = generate(model, role="regenerate", images=images, **changes)
        result = listener.run().answer["result"]
        assert [image["sha256"] for image in result["images"]] == [rows[number].sha256.hex() for number in part]
        assert not (listener.desk.folder / "journal.jsonl").exists()
    file = base64.b64decode(result["file"])
    ending = "webp" if changes.get("encoder") else "png"
    expected, _labels = read_images(made.desk.folder, 0, start=17, count=1)
    np.testing.assert_array_equal(decode(file, ending, 8, 8, 1), expected[0])

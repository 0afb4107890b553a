import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from imagemodels.card import Metadata, ModelCard, read_card
from imagemodels.classifier import Classifier
from imagemodels.errors import CorruptCheckpoint
from imagemodels.export import load_model, save_model
from imagemodels.identity import identity, sha256_hex
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import ConvDecoderSpec, ConvEncoderSpec
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator

METADATA = Metadata(
    preset="vae", images_seen=640, seed=3, class_names=("cat", "dog"), dataset="folder:pets", dataset_fingerprint="ab12"
)
RUNTIME = Runtime(threads=1)


def new_generator(seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    network = ConvDecoder(
        ConvDecoderSpec(image_size=9, channels=3, latent_size=5, width=4, num_classes=2, initialisation="orthogonal")
    )
    network(torch.randn(32, 5), torch.arange(32) % 2)
    RUNTIME.place(network)
    return Generator(network, RUNTIME)


def new_classifier() -> Classifier:
    return Classifier(
        ConvEncoder(ConvEncoderSpec(image_size=9, channels=1, outputs=3, width=4, feature_size=64)), RUNTIME
    )


def rewritten_card(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_generator_comes_back_with_the_same_pixels_and_identity(tmp_path: Path) -> None:
    original = new_generator()
    save_model(tmp_path, original, METADATA)
    loaded = load_model(tmp_path, RUNTIME)
    assert isinstance(loaded, Generator)
    assert np.array_equal(loaded.sample(1, np.arange(70)), original.sample(1, np.arange(70)))
    assert loaded.digest == original.digest == read_card(tmp_path).digest


def test_a_classifier_comes_back_with_the_same_features(tmp_path: Path) -> None:
    original = new_classifier()
    save_model(tmp_path, original, METADATA)
    loaded = load_model(tmp_path, RUNTIME)
    assert isinstance(loaded, Classifier)
    images = torch.randint(0, 256, (20, 1, 9, 9), dtype=torch.uint8)
    assert torch.equal(loaded.features(images), original.features(images))
    assert loaded.digest == original.digest


def test_the_card_says_where_the_model_is_from_and_names_the_weights(tmp_path: Path) -> None:
    weights_sha256 = save_model(tmp_path / "new" / "folder", new_generator(), METADATA)
    card = read_card(tmp_path / "new" / "folder")
    assert card.metadata == METADATA
    assert card.weights_sha256 == weights_sha256
    assert weights_sha256 == sha256_hex((tmp_path / "new" / "folder" / "weights.safetensors").read_bytes())
    assert ModelCard.from_json(card.to_json()) == card


def test_saving_twice_gives_the_same_bytes_and_other_weights_give_another_identity(tmp_path: Path) -> None:
    assert save_model(tmp_path / "a", new_generator(), METADATA) == save_model(
        tmp_path / "b", new_generator(), METADATA
    )
    assert (tmp_path / "a" / "model.json").read_bytes() == (tmp_path / "b" / "model.json").read_bytes()
    assert new_generator(1).digest != new_generator(2).digest


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, new_generator(), METADATA)
    content = bytearray((tmp_path / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(CorruptCheckpoint, match="was altered"):
        load_model(tmp_path, RUNTIME)


def test_weights_of_another_kind_are_refused_and_not_taken_as_they_are(tmp_path: Path) -> None:
    save_model(tmp_path, new_generator(), METADATA)
    weights = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    content = safetensors.torch.save({name: value.double() for name, value in weights.items()})
    (tmp_path / "weights.safetensors").write_bytes(content)
    card = read_card(tmp_path)
    sha256 = sha256_hex(content)
    rewritten_card(tmp_path, weights_sha256=sha256, digest=identity(card.architecture, dict(card.spec), sha256))
    with pytest.raises(CorruptCheckpoint, match=r"as torch.float64, not torch.float32"):
        load_model(tmp_path, RUNTIME)


def test_an_altered_spec_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, new_generator(), METADATA)
    rewritten_card(tmp_path, spec=dict(read_card(tmp_path).spec) | {"upsample": "transposed"})
    with pytest.raises(CorruptCheckpoint, match="does not fit the digest"):
        load_model(tmp_path, RUNTIME)


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": 2},
        {"architecture": "Unknown"},
        {"architecture": {"of": "lists"}},
        {"spec": {}},
        {"metadata": {}},
        {"metadata": None},
        {"surprise": 1},
        {"weights_sha256": "00"},
    ],
)
def test_a_card_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    save_model(tmp_path, new_generator(), METADATA)
    rewritten_card(tmp_path, **changes)
    with pytest.raises(CorruptCheckpoint):
        load_model(tmp_path, RUNTIME)


@pytest.mark.parametrize("missing", ["model.json", "weights.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    save_model(tmp_path, new_generator(), METADATA)
    (tmp_path / missing).unlink()
    with pytest.raises(CorruptCheckpoint, match=missing):
        load_model(tmp_path, RUNTIME)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format_version": 1}'])
def test_other_text_is_no_card(text: str) -> None:
    with pytest.raises(CorruptCheckpoint):
        ModelCard.from_json(text)

"""The encoder of an autoencoder, kept beside its decoder: it finds the latents of images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imagemodels.card import Metadata
from imagemodels.data import load_dataset
from imagemodels.errors import ConfigError, DataError
from imagemodels.evaluation.features import images_tensor
from imagemodels.export import load_model, save_model
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.specs import ConvDecoderSpec
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.trainer import Trainer

RUNTIME = Runtime(threads=1)
DIGITS = load_dataset("digits")
METADATA = Metadata(preset="vae", images_seen=64, seed=0)
SMALL: dict[str, dict[str, Any]] = {
    "vae": {"width": 4, "latent_size": 4, "feature_size": 8},
    "mlp-vae": {"width": 8, "latent_size": 4, "depth": 1},
}


def new_trainer(preset: str = "vae", num_classes: int = 10) -> Trainer:
    config = TrainConfig(
        preset=preset,
        image_size=8,
        channels=1,
        num_classes=num_classes,
        images=64,
        batch_size=32,
        evaluate_every=32,
        overrides={**SMALL[preset], "mixture": 2},
    )
    assert DIGITS.labels is not None
    labels = torch.from_numpy(DIGITS.labels[:64]) if num_classes else None
    return Trainer(config, images_tensor(DIGITS.images[:64]), labels, RUNTIME, lambda _generator: 1.0)


def trained(preset: str = "vae", num_classes: int = 10) -> Trainer:
    trainer = new_trainer(preset, num_classes)
    for _ in trainer.run():
        pass
    return trainer


@pytest.mark.parametrize("preset", ["vae", "mlp-vae"])
def test_a_trained_autoencoder_keeps_its_encoder_in_its_files(preset: str, tmp_path: Path) -> None:
    trainer = trained(preset)
    assert DIGITS.labels is not None
    images, labels = DIGITS.images[100:170], DIGITS.labels[100:170]
    kept = trainer.generator("last")
    with torch.no_grad():
        pixels = images_tensor(images).float() / 127.5 - 1
        moments = trainer.task.networks["encoder"].eval()(pixels, torch.from_numpy(labels))
    np.testing.assert_allclose(kept.encode(images, labels), moments[:, :4].numpy(), atol=1e-5)
    save_model(tmp_path, kept, METADATA)
    loaded = load_model(tmp_path, RUNTIME)
    assert isinstance(loaded, Generator)
    assert (loaded.has_encoder, loaded.digest) == (True, kept.digest)
    latents = loaded.encode(images, labels)
    assert np.array_equal(latents, kept.encode(images, labels))
    assert np.array_equal(latents[:1], loaded.encode(images[:1], labels[:1]))  # whatever is encoded beside it
    assert trainer.generator("best").has_encoder
    assert latents.dtype == np.float32


def test_a_state_of_before_encoders_were_kept_still_gives_its_best_model() -> None:
    trainer = trained()
    assert trainer.best is not None
    weights = trainer.best.weights
    trainer.best.weights = {name: value for name, value in weights.items() if not name.startswith("encoder.")}
    best = trainer.generator("best")
    assert not best.has_encoder
    with pytest.raises(ConfigError, match="has no encoder"):
        best.encode(DIGITS.images[:1])


def test_a_network_without_an_encoder_has_the_identity_that_it_always_had(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ConvDecoder(ConvDecoderSpec(image_size=8, channels=1, latent_size=4, width=4))
    save_model(tmp_path, Generator(network, RUNTIME), METADATA)
    card = json.loads((tmp_path / "model.json").read_text())
    assert "encoder" not in card["spec"]
    loaded = load_model(tmp_path, RUNTIME)
    assert loaded.digest == card["digest"]


def test_images_of_another_shape_and_missing_classes_are_refused() -> None:
    generator = trained().generator()
    with pytest.raises(DataError, match="encodes images of 8 × 8 pixels in 1 channels; found uint8"):
        generator.encode(np.zeros((2, 9, 9, 1), dtype=np.uint8), np.zeros(2, dtype=np.int64))
    with pytest.raises(ConfigError, match="the labels are missing"):
        generator.encode(DIGITS.images[:2])

from collections.abc import Callable
from typing import Any

import pytest
import torch

from imagemodels.networks.mlp import MlpDecoder, MlpEncoder
from imagemodels.networks.specs import MlpDecoderSpec, MlpEncoderSpec


def decoder(**changes: Any) -> MlpDecoder:
    values: dict[str, Any] = {"image_size": 9, "channels": 3, "latent_size": 5, "width": 16, "depth": 2}
    return MlpDecoder(MlpDecoderSpec(**{**values, **changes}))


def encoder(**changes: Any) -> MlpEncoder:
    values: dict[str, Any] = {"image_size": 9, "channels": 3, "outputs": 1, "width": 16, "depth": 2}
    return MlpEncoder(MlpEncoderSpec(**{**values, **changes}))


@pytest.mark.parametrize("depth", [1, 4])
def test_a_decoder_makes_images_between_black_and_white(depth: int) -> None:
    images = decoder(depth=depth)(torch.randn(6, 5) * 100)
    assert images.shape == (6, 3, 9, 9)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1
    assert images.std() > 0


def test_the_class_decides_over_the_image() -> None:
    network = decoder(num_classes=2)
    latents = torch.randn(1, 5).expand(2, 5)
    first, second = network(latents, torch.tensor([0, 1]))
    assert not torch.equal(first, second)


def test_the_encoders_features_are_those_in_front_of_its_outputs() -> None:
    network = encoder(outputs=4)
    images = torch.randn(3, 3, 9, 9)
    assert network.features(images).shape == (3, 16)
    assert torch.equal(network(images), network.head(network.features(images)))


def test_a_class_enters_the_judgement_by_projection() -> None:
    network = encoder(num_classes=2)
    images, labels = torch.randn(3, 3, 9, 9), torch.tensor([0, 1, 1])
    assert network.embedding is not None
    plain = network.head(network.features(images))
    projected = (network.features(images) * network.embedding(labels)).sum(1, keepdim=True)
    torch.testing.assert_close(network(images, labels), plain + projected)


def test_every_weight_of_a_judge_has_spectral_norm_one() -> None:
    network = encoder(spectral=True, num_classes=3)
    for layer in [*network.hidden, network.head, network.embedding]:
        assert layer is not None
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("build", [decoder, encoder])
def test_it_computes_in_bfloat16_where_asked(build: Callable[..., torch.nn.Module]) -> None:
    network = build(num_classes=2)
    given = torch.randn(4, 5) if build is decoder else torch.randn(4, 3, 9, 9)
    labels = torch.tensor([0, 1, 0, 1])
    exact = network.eval()(given, labels)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(given, labels)
    assert not torch.equal(rough.float(), exact)
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.1)

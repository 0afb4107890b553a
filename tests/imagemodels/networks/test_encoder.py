from dataclasses import replace

import pytest
import torch

from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import ConvEncoderSpec

BASIC = ConvEncoderSpec(image_size=8, channels=1, outputs=1, width=4)
KINDS = {
    "dcgan discriminator": replace(BASIC, initialisation="normal"),
    "sngan discriminator": replace(BASIC, norm="none", spectral=True, residual=True, pooling="sum"),
    "plain spectral": replace(BASIC, norm="none", spectral=True),
    "vae encoder": replace(BASIC, outputs=10, feature_size=12),
    "classifier": replace(BASIC, outputs=3, feature_size=64),
}
LABELS = torch.tensor([0, 1, 2, 0, 1])


def pictures(image_size: int, channels: int = 1) -> torch.Tensor:
    return torch.rand(5, channels, image_size, image_size) * 2 - 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image_size", [8, 28, 33])
@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_and_features_have_the_asked_shape(kind: str, image_size: int, channels: int) -> None:
    network = ConvEncoder(replace(KINDS[kind], image_size=image_size, channels=channels)).eval()
    images = pictures(image_size, channels)
    assert network(images).shape == (5, KINDS[kind].outputs)
    assert network.features(images).shape == (5, network.feature_size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_classes", [0, 3])
def test_the_gradient_reaches_every_parameter(kind: str, num_classes: int) -> None:
    network = ConvEncoder(replace(KINDS[kind], image_size=17, num_classes=num_classes))
    outputs = network(pictures(17), LABELS if num_classes else None)
    (outputs * torch.randn_like(outputs)).sum().backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_projection_adds_the_inner_product_of_features_and_class() -> None:
    network = ConvEncoder(replace(BASIC, num_classes=3)).eval()
    assert network.embedding is not None
    images = pictures(8)
    inner = (network.features(images) * network.embedding(LABELS)).sum(1, keepdim=True)
    torch.testing.assert_close(network(images, LABELS), network.head(network.features(images)) + inner)


def test_every_pixel_counts_at_a_size_that_needs_padding() -> None:
    network = ConvEncoder(replace(BASIC, image_size=33, norm="none", width=8)).eval()
    images = pictures(33).requires_grad_()
    network(images).sum().backward()
    assert images.grad is not None
    assert (images.grad.abs().sum((0, 1)) > 0).all()

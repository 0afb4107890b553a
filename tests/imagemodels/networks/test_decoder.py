from dataclasses import replace

import pytest
import torch

from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.specs import ConvDecoderSpec

BASIC = ConvDecoderSpec(image_size=8, channels=1, latent_size=6, width=4)
KINDS = {
    "plain nearest": BASIC,
    "plain transposed": replace(BASIC, upsample="transposed", initialisation="normal"),
    "plain without norm": replace(BASIC, norm="none"),
    "residual": replace(BASIC, residual=True, initialisation="orthogonal"),
    "residual without norm": replace(BASIC, residual=True, norm="none"),
}
LATENTS = torch.linspace(-2, 2, 5 * 6).reshape(5, 6).sin()
LABELS = torch.tensor([0, 1, 2, 0, 1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image_size", [8, 28, 33])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_have_the_asked_shape_and_range(kind: str, image_size: int, channels: int) -> None:
    spec = replace(KINDS[kind], image_size=image_size, channels=channels)
    images = ConvDecoder(spec)(LATENTS * 5)
    assert images.shape == (5, channels, image_size, image_size)
    assert images.dtype == torch.float32
    assert images.min() >= -1
    assert images.max() <= 1
    assert images.std() > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_classes", [0, 3])
def test_the_gradient_reaches_every_parameter(kind: str, num_classes: int) -> None:
    network = ConvDecoder(replace(KINDS[kind], image_size=17, num_classes=num_classes))
    weighted = network(LATENTS, LABELS if num_classes else None) * torch.randn(5, 1, 17, 17)
    weighted.sum().backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_class_changes_the_image(kind: str) -> None:
    network = ConvDecoder(replace(KINDS[kind], num_classes=3))
    assert not torch.allclose(network(LATENTS, LABELS), network(LATENTS, 2 - LABELS))


def test_dcgan_has_the_layers_of_the_paper() -> None:
    spec = ConvDecoderSpec(image_size=64, channels=3, latent_size=100, width=64, upsample="transposed")
    shapes = [tuple(weight.shape) for weight in ConvDecoder(spec).parameters() if weight.ndim == 4]
    assert shapes == [(512, 256, 4, 4), (256, 128, 4, 4), (128, 64, 4, 4), (64, 3, 4, 4)]


def test_the_first_layer_equals_a_transposed_convolution_of_a_single_pixel() -> None:
    network = ConvDecoder(replace(BASIC, width=3, upsample="transposed"))
    weight = network.project.weight.view(4, 4, 3, 6).permute(3, 2, 0, 1)
    expected = torch.nn.functional.conv_transpose2d(LATENTS[:, :, None, None], weight)
    torch.testing.assert_close(network._base(LATENTS, None), expected)

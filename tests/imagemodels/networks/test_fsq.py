from typing import Any

import pytest
import torch

from imagemodels.errors import ConfigError
from imagemodels.networks.fsq import FsqAutoencoder
from imagemodels.networks.spatialspecs import FsqSpec
from imagemodels.pixels import to_float
from imagemodels.training.config import TrainConfig
from tests.imagemodels.pictures import digits


def new_network(image_size: int, channels: int = 1, halvings: int = 2, **changes: Any) -> FsqAutoencoder:
    values: dict[str, Any] = {"width": 4, "blocks": 1, "levels": (8, 5, 5), **changes}
    return FsqAutoencoder(FsqSpec(image_size=image_size, channels=channels, halvings=halvings, **values))


@pytest.mark.parametrize(
    ("image_size", "channels", "halvings", "side"), [(8, 1, 2, 2), (28, 1, 2, 7), (33, 3, 3, 5), (96, 3, 4, 6)]
)
def test_images_of_any_size_become_a_grid_of_codes_and_images_again(
    image_size: int, channels: int, halvings: int, side: int
) -> None:
    network = new_network(image_size, channels, halvings).eval()
    images = torch.rand(2, channels, image_size, image_size) * 2 - 1
    codes = network.encode(images)
    assert (codes.shape, codes.dtype) == ((2, 3, side, side), torch.uint8)
    assert (codes < torch.tensor([8, 5, 5])[:, None, None]).all()
    decoded = network.decode(codes)
    assert decoded.shape == images.shape
    assert decoded.abs().max() <= 1
    assert torch.equal(network(images), decoded)


def test_every_weight_gets_a_gradient_through_the_rounding() -> None:
    network = new_network(16, 3)
    network(torch.rand(4, 3, 16, 16) * 2 - 1).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in network.parameters())


def test_a_code_reaches_its_surroundings_alone() -> None:
    network = new_network(64, blocks=0).eval()
    codes = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    changed = codes.clone()
    changed[0, 0, 0, 0] = 7
    rows = (network.decode(codes) != network.decode(changed)).any(dim=(0, 1, 3)).nonzero()
    assert 4 <= int(rows.max()) < 20


def test_codes_do_not_end_in_one_corner_of_mostly_black_images() -> None:
    """As they do without the normalisation: after 30 steps every place of every image has the same code."""
    network = new_network(16, levels=(5, 5), width=8)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    images, _labels = digits(16)
    batch = to_float(images[:64])
    for _ in range(30):
        optimizer.zero_grad()
        loss = (network(batch) - batch).square().sum((1, 2, 3)).mean()
        loss.backward()
        optimizer.step()
    codes = network.eval().encode(batch)
    assert [len(torch.unique(codes[:, channel])) for channel in range(2)] == [5, 5]
    assert codes.float().std() > 1


def test_a_grid_of_one_place_is_refused() -> None:
    with pytest.raises(ConfigError, match="4 halvings leave one place of an image of 8 pixels"):
        TrainConfig(preset="fsq-ae", image_size=8, channels=1, images=8, overrides={"halvings": 4})

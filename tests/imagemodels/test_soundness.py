import numpy as np
import pytest
import torch

from imagemodels.data import load_dataset
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.shell import train
from imagemodels.soundness import bad_weights, batch_bytes, counted_pixels


@pytest.fixture
def generator() -> Generator:
    digits = load_dataset("digits", image_size=8)
    model = train("mlp-vae", digits, images=64, runtime=Runtime(threads=1), width=8)
    assert isinstance(model, Generator)
    return model


def test_weights_and_pixels_that_are_no_numbers_are_counted(generator: Generator) -> None:
    images = np.arange(5)
    assert bad_weights(generator.network) == 0
    with counted_pixels(generator) as pixels:
        before = generator.sample(0, images)
    assert (pixels.count, pixels.bad) == (generator.batch_size * 64, 0)
    weights = next(generator.network.parameters())
    with torch.no_grad():
        weights.view(-1)[0] = torch.inf
        weights.view(-1)[1] = torch.nan
    assert bad_weights(generator.network) == 2
    with counted_pixels(generator) as pixels:
        generator.sample(0, images)
    assert pixels.bad > 0
    with torch.no_grad():
        weights.view(-1)[:2] = 0
    assert pixels.count == generator.batch_size * 64, "what is made afterwards is not counted"
    assert before.shape == (5, 8, 8, 1)


def test_a_batch_takes_its_weights_and_its_largest_layer(generator: Generator) -> None:
    weights = sum(tensor.nbytes for tensor in generator.network.state_dict().values())
    pixels = generator.batch_size * 64 * 4
    assert weights + pixels <= batch_bytes(generator) < weights + 20 * pixels
    assert batch_bytes(generator) == batch_bytes(generator)

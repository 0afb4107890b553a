"""Whether a trained network computes numbers at all, and what memory it takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from imagemodels.sampling import Generator


def bad_weights(network: nn.Module) -> int:
    """Return how many of its weights and running statistics are not finite."""
    floats = (tensor for tensor in network.state_dict().values() if tensor.is_floating_point())
    return sum(int((~torch.isfinite(tensor)).sum()) for tensor in floats)


@dataclass
class Pixels:
    """What a generator has computed before it was rounded to 256 levels: how many values, and how many not finite."""

    count: int = 0
    bad: int = 0


@contextmanager
def counted_pixels(generator: Generator) -> Iterator[Pixels]:
    """Count what the generator computes meanwhile, the padding of last batches included.

    Pixels of uint8 would not tell: what is no number is rounded to some level as well.
    """
    pixels = Pixels()

    def count(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        pixels.count += output.numel()
        pixels.bad += int((~torch.isfinite(output)).sum())

    with generator.watched(count):
        yield pixels


def batch_bytes(generator: Generator) -> int:
    """Return the bytes of its weights, and of the inputs and outputs of the layer that has the most of them in a batch.

    Counted, not measured: the same on every device, and a lower bound of what a batch takes there.
    """
    largest = 0

    def weigh(_module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        nonlocal largest
        largest = max(largest, sum(one.nbytes for one in (*inputs, output) if isinstance(one, Tensor)))

    with generator.watched(weigh, layers=True):
        generator.sample(0, torch.arange(1).numpy())
    weights: int = sum(tensor.nbytes for tensor in generator.network.state_dict().values())
    return weights + largest

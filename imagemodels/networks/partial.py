"""Layers whose state moves once for each batch, when a batch passes through the network in parts."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

from imagemodels.networks.spectral import SpectralNorm


@contextmanager
def part_of_a_batch(networks: Iterable[nn.Module], share: float, *, is_first: bool) -> Iterator[None]:
    """Let the networks take what passes in this context for ``share`` (0 to 1) of a batch.

    Running statistics move by that share, so that all parts together move them as far as one batch would; spectral
    norms iterate for the first part alone. What a batch norm divides by is the deviation of the part, not of the
    whole: no order of the sums gives back that of a batch which is never in memory as a whole.
    """
    layers = [layer for network in networks for layer in network.modules()]
    norms = [(layer, layer.momentum) for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    spectral = [(layer, layer.iterates) for layer in layers if isinstance(layer, SpectralNorm)]
    for norm, momentum in norms:
        assert momentum is not None
        norm.momentum = 1.0 - (1.0 - momentum) ** share
    for layer, _iterates in spectral:
        layer.iterates = is_first
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum
        for layer, iterates in spectral:
            layer.iterates = iterates

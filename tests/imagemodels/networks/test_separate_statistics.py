"""One batch with separate statistics is two batches, to the network's outputs, gradients and running averages."""

import copy

import torch

from imagemodels.networks.blocks import separate_statistics
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import ConvEncoderSpec


def test_it_equals_two_passes() -> None:
    torch.manual_seed(1)
    spec = ConvEncoderSpec(image_size=16, channels=1, outputs=1, width=8, norm="batch")
    twice = ConvEncoder(spec).train()
    once = copy.deepcopy(twice)
    reals, fakes = torch.randn(6, 1, 16, 16), 3 + torch.randn(6, 1, 16, 16)

    expected = torch.cat([twice(reals), twice(fakes)])
    with separate_statistics(once, 2):
        found = once(torch.cat([reals, fakes]))
    torch.testing.assert_close(found, expected)

    for output in (expected, found):
        output.square().sum().backward()
    for ours, theirs in zip(once.parameters(), twice.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    for mine, other in zip(once.buffers(), twice.buffers(), strict=True):
        torch.testing.assert_close(mine, other)


def test_it_ends_with_the_context() -> None:
    torch.manual_seed(1)
    network = ConvEncoder(ConvEncoderSpec(image_size=16, channels=1, outputs=1, width=8, norm="batch")).train()
    mixed = torch.cat([torch.zeros(4, 1, 16, 16), 3 * torch.randn(4, 1, 16, 16)])
    with separate_statistics(network, 2):
        apart = network(mixed)
    assert not torch.allclose(apart, network(mixed))

"""What all models share that make images in batches of one size."""

from functools import cached_property

from imagemodels.digest import model_digest
from imagemodels.networks.architectures import Network
from imagemodels.runtime import Precision, Runtime


class BatchedModel:
    """A network in eval mode and the size of its batches.

    Every batch has exactly ``batch_size`` members, the last one padded, because the size of a batch changes the last
    bits of a convolution. Where the memory does not hold a batch it is halved, until ``use_full_batches``.
    """

    network: Network

    def __init__(self, network: Network, runtime: Runtime, full_batch_size: int) -> None:
        self.network = network.eval().requires_grad_(False)
        self.runtime = runtime
        self.full_batch_size = full_batch_size
        self.batch_size = full_batch_size

    @property
    def precision(self) -> Precision:
        """The precision of the forward pass; bf16 moves some pixels by a level or two."""
        return self.runtime.resolved_precision

    @cached_property
    def digest(self) -> str:
        """The identity of architecture and weights, which do not change any more: sha256 in hexadecimal."""
        return model_digest(self.network)

    def use_full_batches(self) -> None:
        """Forget that the memory was short, so that what one task went through does not move another one's pixels."""
        self.batch_size = self.full_batch_size


def full_batch(runtime: Runtime, given: int | None, *, cpu: int, cuda: int) -> int:
    """Return the size of batches that was given, or else that for the kind of device."""
    return given or (cuda if runtime.torch_device.type == "cuda" else cpu)

"""Training a network that compresses images, by gradients."""

from torch import nn

from imagemodels.networks.fsq import FsqAutoencoder
from imagemodels.training.codec import fit_frequencies, mean_noise_ratio, side_by_side
from imagemodels.training.events import Samples
from imagemodels.training.trainer import Trainer
from imagemodels.traits import Family


class CodecTrainer(Trainer):
    """Trains a codec as `Trainer` does what it trains, measured by the PSNR of some of the training images."""

    families = frozenset[Family]({"codec"})

    def _present(self) -> nn.Module:
        """A copy of the averaged network that has counted its codes."""
        network = _codec(super()._present())
        fit_frequencies(network, self.stream, self.runtime, self.config.seed)
        return network

    @property
    def _is_measurable(self) -> bool:
        return True

    def _samples(self, network: nn.Module) -> Samples:
        pictures = side_by_side(_codec(network), self.stream, self.runtime, self.config.sample_count)
        return Samples(self.images_seen, pictures)

    def _measure(self, network: nn.Module) -> float:
        return mean_noise_ratio(_codec(network), self.stream, self.runtime)


def _codec(network: nn.Module) -> FsqAutoencoder:
    assert isinstance(network, FsqAutoencoder)
    return network

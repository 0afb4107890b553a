"""Training a network on images, by gradients."""

from collections.abc import Callable

from torch import Tensor, nn

from imagemodels.networks.fsq import FsqAutoencoder
from imagemodels.networks.prior import LatentDecoder
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.codec import fit_frequencies, mean_noise_ratio, side_by_side
from imagemodels.training.config import TrainConfig
from imagemodels.training.descent import Descent
from imagemodels.training.events import Samples
from imagemodels.training.stream import ImageStream, check_images


class Trainer(Descent):
    """Trains the preset of ``config`` on uint8 ``images`` (N, C, H, W) with ``labels`` (N,) int64 when conditional.

    With ``rows`` (N,) it trains on those of the images alone, and reads them where they lie, batch by batch, so that
    those in a file need not fit into memory. The result is the same.
    ``quality``, ``test_images`` and ``test_labels`` are what ``Run`` says; a codec is measured by the PSNR of some of
    its training images.

    Raises DataError when the images do not fit the configuration, and ConfigError when the preset learns from
    sequences.
    """

    stream: ImageStream

    def __init__(
        self,
        config: TrainConfig,
        images: Tensor,
        labels: Tensor | None,
        runtime: Runtime,
        quality: Callable[[Generator], float] | None = None,
        *,
        test_images: Tensor | None = None,
        test_labels: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> None:
        test = (test_images, test_labels) if test_images is not None and test_labels is not None else None
        super().__init__(config, runtime, ImageStream(config, images, labels, runtime, rows), quality, test)
        if test_images is not None:
            check_images(config, test_images, test_labels)

    def _present(self) -> nn.Module:
        """A copy of the averaged network that draws its latents, or counts its codes, as it is to."""
        network = super()._present()
        if isinstance(network, LatentDecoder):
            self.task.fit_prior(network, self.stream)
        elif isinstance(network, FsqAutoencoder):
            fit_frequencies(network, self.stream, self.runtime, self.config.seed)
        return network

    @property
    def _is_measurable(self) -> bool:
        return isinstance(self.task.product, FsqAutoencoder) or super()._is_measurable

    def _samples(self, network: nn.Module) -> Samples:
        if not isinstance(network, FsqAutoencoder):
            return super()._samples(network)
        pictures = side_by_side(network, self.stream, self.runtime, self.config.sample_count)
        return Samples(self.images_seen, pictures)

    def _measure(self, network: nn.Module) -> float:
        if not isinstance(network, FsqAutoencoder):
            return super()._measure(network)
        return mean_noise_ratio(network, self.stream, self.runtime)

"""Training a network on images, by gradients."""

from collections.abc import Callable

from torch import Tensor, nn

from imagemodels.networks.prior import LatentDecoder
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.descent import Descent
from imagemodels.training.ranks import Ranks
from imagemodels.training.stream import ImageStream, check_images
from imagemodels.traits import Family


class Trainer(Descent):
    """Trains a generator or classifier on uint8 ``images`` (N, C, H, W) with ``labels`` (N,) int64 when conditional.

    With ``rows`` (N,) it trains on those of the images alone, and reads them where they lie, batch by batch, so that
    those in a file need not fit into memory. The result is the same.
    ``quality``, ``test_images`` and ``test_labels`` are what ``Run`` says. ``ranks`` are the processes that share the
    run, as many as the configuration has devices.

    Raises DataError when the images do not fit the configuration, and ConfigError for a preset of another family:
    `new_run` chooses the run that trains it.
    """

    families = frozenset[Family]({"autoencoder", "adversarial", "hybrid", "classifier"})
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
        ranks: Ranks | None = None,
    ) -> None:
        test = (test_images, test_labels) if test_images is not None and test_labels is not None else None
        super().__init__(config, runtime, ImageStream(config, images, labels, runtime, rows), quality, test, ranks)
        if config.model.family not in self.families:
            raise self._is_another(f"{type(self).__name__} does not train it")
        if test_images is not None:
            check_images(config, test_images, test_labels)

    def _present(self) -> nn.Module:
        """A copy of the averaged network, which draws its latents as it is to."""
        network = super()._present()
        if isinstance(network, LatentDecoder):
            self.task.fit_prior(network, self.stream)
        return network

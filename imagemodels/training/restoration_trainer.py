"""Training a network that restores images, by gradients."""

import numpy as np
from torch import Tensor, nn

from imagemodels.errors import DataError
from imagemodels.evaluation.restorations import DamagedImages, before_and_after, damaged_images, mean_noise_ratio
from imagemodels.networks.unet import UNet
from imagemodels.options import RestorationOptions
from imagemodels.restoration import Images, Restorer
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.descent import Descent
from imagemodels.training.events import Samples
from imagemodels.training.paired_stream import PairedStream
from imagemodels.training.stream import ImageStream, check_images

MEASURED = 512  # images
SHOWN_IN_A_ROW = 4  # images of a sample grid, each damaged, restored and true


class RestorationTrainer(Descent):
    """Trains the preset of ``config`` on uint8 ``images`` (N, C, H, W), measured by the PSNR of held-out ones.

    ``given`` (N, C, H, W) are what the images are to be made from, where that is not damage of its own making.
    With ``rows`` (N,) it trains on those of the images alone, as `Trainer` does. ``test_images`` and ``test_given``
    are held out; without them some of the training images are measured.

    Raises DataError when the images do not fit the configuration or one another.
    """

    def __init__(
        self,
        config: TrainConfig,
        images: Tensor,
        runtime: Runtime,
        *,
        given: Tensor | None = None,
        test_images: Tensor | None = None,
        test_given: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> None:
        _require_sources(config, given)
        super().__init__(config, runtime, _stream(config, images, given, runtime, rows))
        self.measures_held_out = test_images is not None and len(test_images) > 0
        if not self.measures_held_out:
            test_images, test_given = images if rows is None else images[rows[:MEASURED]], given
        assert test_images is not None
        check_images(config, test_images, None)
        given_part = None if test_given is None else test_given[:MEASURED]
        self.measured = measured_pairs(config, test_images[:MEASURED], given_part)

    @property
    def _is_measurable(self) -> bool:
        return True

    def _samples(self, network: nn.Module) -> Samples:
        columns = 3 * SHOWN_IN_A_ROW
        shown = max(1, self.config.sample_count // columns) * SHOWN_IN_A_ROW
        images = before_and_after(self._restoring(network), self.measured, shown)
        return Samples(self.images_seen, images, columns=columns)

    def _measure(self, network: nn.Module) -> float:
        return mean_noise_ratio(self._restoring(network), self.measured)

    def _restoring(self, network: nn.Module) -> Restorer:
        assert isinstance(network, UNet)
        return Restorer(network, self.runtime)


def measured_pairs(config: TrainConfig, truth: Tensor, given: Tensor | None) -> DamagedImages:
    """Return the images that a run is measured by: those given, or the true ones (N, C, H, W) damaged by its seed."""
    options = config.model.options
    assert isinstance(options, RestorationOptions)
    if given is not None:
        return DamagedImages(_pictures(given), None, _pictures(truth))
    return damaged_images(_pictures(truth), options.damage, config.seed)


def _pictures(images: Tensor) -> Images:
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())


def _require_sources(config: TrainConfig, given: Tensor | None) -> None:
    options = config.model.options
    assert isinstance(options, RestorationOptions)
    if (options.degradation == "given") != (given is not None):
        needed = "pairs of images" if given is None else "images, which it damages itself"
        raise DataError(f"degradation {options.degradation!r} is trained on {needed}")


def _stream(
    config: TrainConfig, images: Tensor, given: Tensor | None, runtime: Runtime, rows: Tensor | None
) -> ImageStream:
    if given is None:
        return ImageStream(config, images, None, runtime, rows)
    return PairedStream(config, given, images, runtime, rows)

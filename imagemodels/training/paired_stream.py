"""Pairs of images in the order of one stream: what is given, and what is to be made of it."""

from dataclasses import replace

from torch import Tensor

from imagemodels.errors import DataError
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import WHOLE, Batch, ImageStream


class PairedStream(ImageStream):
    """The images to be made, each with that which it is made from.

    Both pass through streams of one seed, so that they come in one order, and are flipped, cropped and coloured alike.
    """

    def __init__(
        self, config: TrainConfig, given: Tensor, images: Tensor, runtime: Runtime, rows: Tensor | None = None
    ) -> None:
        if len(given) != len(images):
            raise DataError(f"{len(given)} given images do not pair with {len(images)} others")
        super().__init__(config, images, None, runtime, rows)
        self._given = ImageStream(config, given, None, runtime, rows)
        self.digest = f"{self.digest}:{self._given.digest}"

    def batch(self, step: int, share: slice = WHOLE) -> Batch:
        """Return the batch of step number ``step``, counted from 0, or a share of its pairs."""
        return replace(super().batch(step, share), given=self._given.batch(step, share).images)

    def reseed(self, seed: int) -> None:
        """Take the order and the changes of another seed from now on."""
        super().reseed(seed)
        self._given.reseed(seed)

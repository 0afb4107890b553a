"""A trained classifier: it predicts classes, and its penultimate layer gives the features of the evaluation."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from imagemodels.digest import model_digest
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.architectures import Encoder
from imagemodels.pixels import to_float
from imagemodels.runtime import Precision, Runtime

INFERENCE_BATCH = 256  # images


class Classifier:
    """An encoder with K outputs, in eval mode.

    When the memory does not hold a batch, images pass in batches of half the size from then on, which may move the
    last bits of what is computed. ``batch_size`` tells how many pass at a time.
    """

    def __init__(self, network: Encoder, runtime: Runtime) -> None:
        self.network = network.eval()
        self.runtime = runtime
        self.batch_size = INFERENCE_BATCH

    def use_full_batches(self) -> None:
        """Forget that the memory was short."""
        self.batch_size = INFERENCE_BATCH

    def predict(self, images: Tensor) -> Tensor:
        """Return the most likely class (N,), int64 on the CPU, of uint8 images (N, C, H, W)."""
        return self.logits(images).argmax(1)

    def logits(self, images: Tensor) -> Tensor:
        """Return the class logits (N, K), float32 on the CPU, of uint8 images (N, C, H, W)."""
        return self._in_batches(images, self.network)

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate activations (N, 64), float32 on the CPU, of uint8 images (N, C, H, W)."""
        return self._in_batches(images, self.network.features)

    @property
    def precision(self) -> Precision:
        """The precision of the forward pass."""
        return self.runtime.resolved_precision

    @cached_property
    def digest(self) -> str:
        """The identity of architecture and weights, sha256 in hexadecimal: equal digests compute equal features."""
        return model_digest(self.network)

    def _in_batches(self, images: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Raises OutOfMemory when the memory does not hold one image on its way through the network."""
        with torch.inference_mode(), self.runtime.activated(), self.runtime.autocast():
            outputs, self.batch_size = in_batches_that_fit(
                lambda size: [
                    function(to_float(self.runtime.put(batch))).float().cpu() for batch in torch.split(images, size)
                ],
                self.batch_size,
                "a classifier's pass",
                self.runtime.torch_device,
            )
        return torch.cat(outputs)


def train_classifier(
    images: Tensor, labels: Tensor, num_classes: int, seed: int, runtime: Runtime, budget: int = 20_000
) -> Classifier:
    """Train the ``cnn`` preset for ``budget`` images on uint8 images (N, C, H, W) with labels (N,), int64.

    On the CPU the same seed gives the same weights, bit for bit. Raises DataError when the labels do not fit.
    """
    from imagemodels.training.config import TrainConfig
    from imagemodels.training.trainer import Trainer

    config = TrainConfig(
        preset="cnn",
        image_size=images.shape[-1],
        channels=images.shape[1],
        num_classes=num_classes,
        images=budget,
        seed=seed,
        precision=runtime.precision,
    )
    trainer = Trainer(config, images, labels, runtime)
    for _ in trainer.run():
        pass
    return trainer.classifier()

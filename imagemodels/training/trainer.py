"""Training a network by gradients."""

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.fsq import FsqAutoencoder
from imagemodels.networks.prior import LatentDecoder
from imagemodels.random import diverted_seed, step_seed
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.averaging import AveragedWeights
from imagemodels.training.codec import fit_frequencies, mean_noise_ratio, side_by_side
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Samples, Step
from imagemodels.training.families import new_task
from imagemodels.training.run import Run
from imagemodels.training.stream import ImageStream, check_images
from imagemodels.training.task import Task
from imagemodels.training.undo import Undo

DIVERTED_RATE = 0.5  # of the learning rates, once a run has left a path that diverged


class Trainer(Run):
    """Trains the preset of ``config`` on uint8 ``images`` (N, C, H, W) with ``labels`` (N,) int64 when conditional.

    With ``rows`` (N,) it trains on those of the images alone, and reads them where they lie, batch by batch, so that
    those in a file need not fit into memory. The result is the same.
    ``quality``, ``test_images`` and ``test_labels`` are what ``Run`` says; a codec is measured by the PSNR of some of
    its training images.

    A step that runs out of memory is taken again, from its beginning and with the same random numbers, in parts of
    half the size; ``micro_batch`` is the size that fits. It stays, also for a run that goes on from a saved state, so
    that the order of the sums does.
    Raises DataError when the images do not fit the configuration.
    """

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
        super().__init__(config, runtime, quality, test)
        self.stream = ImageStream(config, images, labels, self.runtime, rows)
        self.data_digest = self.stream.digest
        if test_images is not None:
            check_images(config, test_images, test_labels)
        self.task = _initialised_task(config, self.runtime)
        self.averaged = AveragedWeights(self.task.product, config.descent.ema_half_life_images)
        self._undo = Undo(self.task)

    @property
    def images_seen(self) -> int:
        """The images that the optimizer has seen."""
        return self.step * self.config.effective_batch_size

    @property
    def total_images(self) -> int:
        """The budget rounded up to whole batches."""
        return self.config.total_images

    def tensors(self) -> dict[str, Any]:
        """Networks, averages and moments."""
        return {
            "networks": {name: network.state_dict() for name, network in self.task.networks.items()},
            "averaged": self.averaged.network.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.task.optimizers.items()},
        }

    def fill(self, stored: Mapping[str, Any]) -> None:
        """Take over what ``tensors`` gave."""
        for name, network in self.task.networks.items():
            network.load_state_dict(stored["networks"][name])
        for name, optimizer in self.task.optimizers.items():
            optimizer.load_state_dict(stored["optimizers"][name])
        self.averaged.network.load_state_dict(stored["averaged"])

    def divert(self) -> None:
        """Leave a path that diverged as ``Run`` does, with other images and noise, at half the learning rates."""
        super().divert()
        for optimizer in self.task.optimizers.values():
            optimizer.learning_rate *= DIVERTED_RATE

    def _go_back(self, anchor: dict[str, Any]) -> None:
        """Return to a snapshot, at the present learning rates: an earlier way back may have led to the same one."""
        rates = {name: optimizer.learning_rate for name, optimizer in self.task.optimizers.items()}
        super()._go_back(anchor)
        for name, rate in rates.items():
            self.task.optimizers[name].learning_rate = rate

    def _reseed(self) -> None:
        seed = diverted_seed(self.config.seed, self.diversions)
        self.task.seed = seed
        self.stream.reseed(seed)

    def _advance(self) -> Step:
        started = time.perf_counter()
        with self.runtime.activated():
            losses = self._step_that_fits()
            self.step += 1
            self.averaged.update(self.images_seen, self.config.effective_batch_size)
        self._meter.add(losses, self.config.effective_batch_size, time.perf_counter() - started)
        return Step(self.images_seen)

    def _step_that_fits(self) -> dict[str, Tensor]:
        self._undo.keep()
        losses, self.micro_batch = in_batches_that_fit(
            lambda size: self.task.step(self.stream.batch(self.step), size),
            self.micro_batch,
            "a training step",
            self.runtime.torch_device,
            self._undo.restore,
        )
        return losses

    def _present(self) -> nn.Module:
        """A copy of the averaged network that draws its latents, or counts its codes, as it is to."""
        network = deepcopy(self.averaged.network)
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

    def _restored(self, weights: Mapping[str, Tensor]) -> nn.Module:
        network = deepcopy(self.averaged.network)
        if isinstance(network, LatentDecoder):
            network.use_prior(self.task.prior_parts)
        network.load_state_dict(weights)
        return network


def _initialised_task(config: TrainConfig, runtime: Runtime) -> Task:
    """Build the networks from the run's seed, on the CPU, so that every device starts from the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(step_seed(config.seed, 0, "weights"))
        return new_task(config, runtime)

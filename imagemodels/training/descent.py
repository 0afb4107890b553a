"""A run by gradients: steps of optimizers on one batch after the other, in parts where the memory is short."""

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.prior import LatentDecoder
from imagemodels.random import diverted_seed, step_seed
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.averaging import AveragedWeights
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Step
from imagemodels.training.families import new_task
from imagemodels.training.run import Run
from imagemodels.training.sequence_stream import SequenceStream
from imagemodels.training.stream import ImageStream
from imagemodels.training.task import Task
from imagemodels.training.undo import Undo

DIVERTED_RATE = 0.5  # of the learning rates, once a run has left a path that diverged


class Descent(Run):
    """Trains the preset of ``config`` on the batches of ``stream``; ``quality`` and ``test`` are what ``Run`` says.

    A step that runs out of memory is taken again, from its beginning and with the same random numbers, in parts of
    half the size; ``micro_batch`` is the size that fits. It stays, also for a run that goes on from a saved state, so
    that the order of the sums does.
    """

    def __init__(
        self,
        config: TrainConfig,
        runtime: Runtime,
        stream: ImageStream | SequenceStream,
        quality: Callable[[Generator], float] | None = None,
        test: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__(config, runtime, quality, test)
        self.stream = stream
        self.data_digest = stream.digest
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
        """A copy of the averaged network."""
        return deepcopy(self.averaged.network)

    def _restored(self, weights: Mapping[str, Tensor]) -> nn.Module:
        network = deepcopy(self.averaged.network)
        if isinstance(network, LatentDecoder):
            self.task.complete(network)
            if not any(name.startswith("encoder.") for name in weights):
                network.use_encoder(None)  # of a run that began before encoders were kept
        network.load_state_dict(weights)
        return network


def _initialised_task(config: TrainConfig, runtime: Runtime) -> Task:
    """Build the networks from the run's seed, on the CPU, so that every device starts from the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(step_seed(config.seed, 0, "weights"))
        return new_task(config, runtime)

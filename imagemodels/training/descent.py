"""A run by gradients: steps of optimizers on one batch after the other, in parts where the memory is short."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from imagemodels.errors import ConfigError, OutOfMemory
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.prior import LatentDecoder
from imagemodels.random import diverted_seed, step_seed
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training import state
from imagemodels.training.averaging import AveragedWeights
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Step
from imagemodels.training.families import new_task
from imagemodels.training.ranks import Order, Ranks
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

    Of several ranks the leading one runs as if it were alone, and gives its orders before each step; the others obey.
    """

    def __init__(
        self,
        config: TrainConfig,
        runtime: Runtime,
        stream: ImageStream | SequenceStream,
        quality: Callable[[Generator], float] | None = None,
        test: tuple[Tensor, Tensor] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__(config, runtime, quality, test)
        self.ranks = ranks or Ranks()
        self._others_know = False  # the state as it is now
        if self.ranks.count != config.devices:
            raise ConfigError(f"the run is for {config.devices} devices, and {self.ranks.count} ranks take part")
        self.stream = stream
        self.data_digest = stream.digest
        self.task = _initialised_task(config, self.runtime)
        self.task.ranks = self.ranks
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
        self._others_know = False

    def begin_with(self, stored: Mapping[str, Any]) -> None:
        """Take over networks and averages. Moments stay as they are: they speak of other images, or a halved rate."""
        for name, network in self.task.networks.items():
            network.load_state_dict(stored["networks"][name])
        self.averaged.network.load_state_dict(stored["averaged"])
        self._others_know = False

    def divert(self) -> None:
        """Leave a path that diverged as ``Run`` does, with other images and noise, at half the learning rates."""
        super().divert()
        for optimizer in self.task.optimizers.values():
            optimizer.learning_rate *= DIVERTED_RATE
        self._others_know = False

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

    def obey(self, order: Order) -> None:
        """Do as the leading rank does; raises OutOfMemory where that one does, and RankLost when it is gone."""
        if order is Order.TAKE_OVER:
            state.unpack(self, self.ranks.take_over())
            self._reseed()
        else:
            with self.runtime.activated():
                self._step_that_fits()

    def _lead(self) -> None:
        """Let the other ranks take the coming step as well."""
        if self.ranks.count == 1:
            return
        if not self._others_know:
            self.ranks.hand_over(state.packed(self))
            self._others_know = True
        self.ranks.tell(Order.STEP)

    def _advance(self) -> Step:
        started = time.perf_counter()
        self._lead()
        with self.runtime.activated():
            losses = self._step_that_fits()
            learnt = self.config.images_before + self.images_seen
            self.averaged.update(learnt, self.config.effective_batch_size)
        self._meter.add(losses, self.config.effective_batch_size, time.perf_counter() - started)
        return Step(self.images_seen)

    def _step_that_fits(self) -> dict[str, Tensor]:
        with self.ranks.stepping():
            losses, self.micro_batch = in_batches_that_fit(
                self._step_in_parts, self.micro_batch, "a training step", self.runtime.torch_device, self._undo.restore
            )
        self.step += 1
        return losses

    def _step_in_parts(self, size: int) -> dict[str, Tensor]:
        """Take one step with at most so many images in the networks of each rank."""
        with self.ranks.attempting():
            self._undo.keep()
            losses = self.task.step(self.stream.batch(self.step, self.ranks.share(self.stream.batch_size)), size)
            if self.ranks.count > 1:
                self.ranks.end_step(self.task.statistics)
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


def follow(ranks: Ranks, build: Callable[[], Descent]) -> None:
    """Be a rank that does not lead: build the run at the leader's first order, and obey until the last one.

    Raises RankLost when the leader ends without one.
    """
    run: Descent | None = None
    while (order := ranks.hear()) is not Order.END:
        run = run or build()
        with suppress(OutOfMemory):  # the leader has it too, and says what becomes of the run
            run.obey(order)


def _initialised_task(config: TrainConfig, runtime: Runtime) -> Task:
    """Build the networks from the run's seed, on the CPU, so that every device starts from the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(step_seed(config.seed, 0, "weights"))
        return new_task(config, runtime)

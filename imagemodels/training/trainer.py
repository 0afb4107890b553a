"""One training run as a stream of events that can be left at any event and gone on with later, bit for bit."""

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import IO, Literal

import numpy as np
import torch
from torch import Tensor

from imagemodels.classifier import Classifier
from imagemodels.codec import Codec
from imagemodels.errors import ConfigError
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.architectures import Decoder, Encoder
from imagemodels.networks.fsq import FsqAutoencoder
from imagemodels.random import diverted_seed, step_seed
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training import state
from imagemodels.training.averaging import AveragedWeights
from imagemodels.training.codec import fit_frequencies, mean_noise_ratio, side_by_side
from imagemodels.training.collapse import CollapseGuard
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Collapse, Event, Progress, Quality, Samples, Step
from imagemodels.training.families import new_task
from imagemodels.training.meter import Meter
from imagemodels.training.stream import ImageStream, check_images
from imagemodels.training.undo import Undo

Which = Literal["last", "best"]
DIVERTED_RATE = 0.5  # of the learning rates, once a run has left a path that diverged


@dataclass(slots=True)
class Best:
    """The best measurement so far and the averaged weights that it measured."""

    value: float
    images_seen: int
    weights: dict[str, Tensor]


class Trainer:
    """Trains the preset of ``config`` on uint8 ``images`` (N, C, H, W) with ``labels`` (N,) int64 when conditional.

    With ``rows`` (N,) it trains on those of the images alone, and reads them where they lie, batch by batch, so that
    those in a file need not fit into memory. The result is the same.
    ``quality`` measures a generator, lower is better; a classifier is measured by its accuracy on
    ``test_images`` and ``test_labels``, a codec by the PSNR of some of its training images. The precision is that
    of ``config``, whatever the runtime says.

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
        self.config = config
        self.runtime = replace(runtime, precision=config.precision)
        self.stream = ImageStream(config, images, labels, self.runtime, rows)
        if test_images is not None:
            check_images(config, test_images, test_labels)
        self.task = _initialised_task(config, self.runtime)
        self.averaged = AveragedWeights(self.task.product, config.model.options.ema_half_life_images)
        self.step = 0
        self.sampled_at: int | None = None
        self.measured_at = 0
        self.best: Best | None = None
        self.micro_batch = config.effective_batch_size  # images in the networks at a time
        self.diversions = 0
        self.guard = CollapseGuard(config.model.options)
        self._undo = Undo(self.task)
        self._quality = quality
        self._test = (test_images, test_labels) if test_images is not None and test_labels is not None else None
        self._meter = Meter()

    @property
    def images_seen(self) -> int:
        """The images that the optimizer has seen."""
        return self.step * self.config.effective_batch_size

    @property
    def finished(self) -> bool:
        """Whether the budget is spent, or the quality has collapsed for good."""
        return self.guard.stopped or self.images_seen >= self.config.total_images

    @property
    def divergences(self) -> int:
        """How often the run was diverted because it diverged, and not because its quality collapsed."""
        return self.diversions - self.guard.rollbacks

    def run(self) -> Iterator[Event]:
        """Train until the budget is spent, yielding an event after every step, report, sample grid and measurement.

        Where the options say so, a run whose quality has collapsed goes back to its best state, or ends.
        The caller may stop after any event. Raises NonFiniteLoss when training diverges, and OutOfMemory when a step
        cannot even be taken image by image.
        """
        while True:
            yield from self._due()
            if self.finished:
                break
            if self.guard.has_collapsed:
                yield self._collapse()
                continue
            yield self._advance()
            if self._meter.is_due:
                yield self._progress()
        if not self._meter.is_empty:
            yield self._progress()
        state.require_finite(self)

    def generator(self, which: Which = "last") -> Generator:
        """Return a generator with a copy of the averaged weights, of now or of the best measurement.

        Raises ConfigError when the model is no generator, or the best is asked for and nothing was measured.
        """
        network = self._product(which)
        if not isinstance(network, Decoder):
            raise ConfigError(f"preset {self.config.preset!r} is a {self.config.model.product}: it makes no images")
        return Generator(network, self.runtime)

    def classifier(self, which: Which = "last") -> Classifier:
        """Return a classifier with a copy of the averaged weights; raises ConfigError when the model is none."""
        network = self._product(which)
        if not isinstance(network, Encoder):
            raise ConfigError(f"preset {self.config.preset!r} is a {self.config.model.product}: it is no classifier")
        return Classifier(network, self.runtime)

    def model(self, which: Which = "last") -> Generator | Classifier | Codec:
        """Return the generator, the classifier or the codec, whichever is trained."""
        network = self._product(which)
        if isinstance(network, FsqAutoencoder):
            return Codec(network, self.runtime)
        return Generator(network, self.runtime) if isinstance(network, Decoder) else self.classifier(which)

    def save(self, file: IO[bytes]) -> None:
        """Write everything that ``load`` needs to go on.

        Raises NonFiniteLoss rather than keep worthless weights: no loss since the last report, and no number of the
        state, may be NaN or infinite.
        """
        self._meter.require_finite()
        state.write(self, file)

    def load(self, file: IO[bytes]) -> None:
        """Go on from what ``save`` wrote.

        Raises CorruptCheckpoint when the file is unreadable, or of another configuration or other images.
        """
        state.read(self, file)
        self._reseed()
        self._meter = Meter()

    def divert(self) -> None:
        """Leave a path that ended in a divergence: other images and noise from here on, and half the learning rates.

        What follows is as reproducible as before: the new random numbers depend on the seed and on how often the run
        was diverted, which is saved with the rates.
        """
        self.diversions += 1
        self._reseed()
        for optimizer in self.task.optimizers.values():
            optimizer.learning_rate *= DIVERTED_RATE
        self._meter = Meter()

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

    def _progress(self) -> Progress:
        losses, speed = self._meter.report()
        return Progress(self.images_seen, self.config.total_images, losses, speed, self.micro_batch)

    def _due(self) -> Iterator[Samples | Quality]:
        """A sample grid and a measurement where they are due, both of one copy: a prior is not fitted to it twice."""
        samples, quality = self._samples_are_due(), self._quality_is_due()
        if not samples and not quality:
            return
        self._meter.require_finite()
        network = self._product("last")
        if samples:
            self.sampled_at = self.images_seen
            yield self._samples(network)
        if quality:
            self.measured_at = self.images_seen
            yield self._measured(self._measure(network), network)

    def _samples_are_due(self) -> bool:
        shows = self.config.model.family != "classifier"
        return shows and self._is_due(self.sampled_at, self.config.samples_every)

    def _quality_is_due(self) -> bool:
        return self._is_measurable and self._is_due(self.measured_at, self.config.evaluate_every)

    def _samples(self, network: torch.nn.Module) -> Samples:
        if isinstance(network, FsqAutoencoder):
            pictures = side_by_side(network, self.stream, self.runtime, self.config.sample_count)
            return Samples(self.images_seen, pictures)
        assert isinstance(network, Decoder)
        indices = np.arange(self.config.sample_count, dtype=np.int64)
        return Samples(self.images_seen, Generator(network, self.runtime).sample(self.config.seed, indices))

    @property
    def _is_measurable(self) -> bool:
        if self.config.model.makes_images:
            return self._quality is not None
        return self._test is not None or isinstance(self.task.product, FsqAutoencoder)

    def _is_due(self, last: int | None, every: int) -> bool:
        """Whether a multiple of ``every`` was passed since ``last``, or the run has ended after it."""
        if not every or last == self.images_seen:
            return False
        return last is None or self.finished or self.images_seen // every > last // every

    def _measure(self, network: torch.nn.Module) -> float:
        if isinstance(network, Decoder):
            assert self._quality is not None
            return float(self._quality(Generator(network, self.runtime)))
        if isinstance(network, FsqAutoencoder):
            return mean_noise_ratio(network, self.stream, self.runtime)
        assert isinstance(network, Encoder)
        assert self._test is not None
        images, labels = self._test
        return float((Classifier(network, self.runtime).predict(images) == labels).double().mean())

    def _measured(self, value: float, network: torch.nn.Module) -> Quality:
        sign = 1 if self.config.model.makes_images else -1  # accuracy, noise ratio: higher is better
        is_best = self.best is None or sign * value < sign * self.best.value
        if is_best:
            self.best = Best(value, self.images_seen, dict(network.state_dict()))
            self.guard.anchor = state.snapshot(self) if self.guard.needs_anchor else None
        assert self.best is not None
        self.guard.measured(value, self.best.value)
        return Quality(self.images_seen, value, is_best)

    def _collapse(self) -> Collapse:
        """Go on from the best state, on a path that leads elsewhere, or end."""
        assert self.best is not None
        seen, anchor = self.images_seen, self.guard.go_back()
        if anchor is not None:
            rates = {name: optimizer.learning_rate for name, optimizer in self.task.optimizers.items()}
            state.restore(self, anchor)
            for name, rate in rates.items():  # those of an earlier way back, which may have led to the same best state
                self.task.optimizers[name].learning_rate = rate
            self.divert()
        return Collapse(seen, self.guard.value, self.best.images_seen, self.best.value, goes_on=anchor is not None)

    def _product(self, which: Which) -> torch.nn.Module:
        """A copy of the averaged network, of now or of the best measurement, that draws its latents as it is to."""
        network = deepcopy(self.averaged.network)
        if which == "last":
            if isinstance(network, Decoder):
                self.task.fit_prior(network, self.stream)
            elif isinstance(network, FsqAutoencoder):
                fit_frequencies(network, self.stream, self.runtime, self.config.seed)
            return network
        if self.best is None:
            raise ConfigError("the best weights were asked for, but nothing was measured; set evaluate_every")
        if isinstance(network, Decoder):
            network.use_prior(self.task.prior_parts)
        network.load_state_dict(self.best.weights)
        return network


def _initialised_task(config: TrainConfig, runtime: Runtime) -> "state.Task":
    """Build the networks from the run's seed, on the CPU, so that every device starts from the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(step_seed(config.seed, 0, "weights"))
        return new_task(config, runtime)

"""What every training run is: a stream of events that can be left at any event and gone on with later, bit for bit."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import IO, Any, Literal

import numpy as np
import torch
from torch import Tensor

from imagemodels.classifier import Classifier
from imagemodels.errors import ConfigError
from imagemodels.model import Model, model_of
from imagemodels.networks.architectures import Decoder, Encoder
from imagemodels.networks.sequence import SequencePredictor
from imagemodels.prediction import Predictor
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training import state
from imagemodels.training.collapse import CollapseGuard
from imagemodels.training.config import TrainConfig
from imagemodels.training.events import Collapse, Event, Progress, Quality, Samples, Step
from imagemodels.training.meter import Meter
from imagemodels.traits import HIGHER_IS_BETTER

Which = Literal["last", "best"]


@dataclass(slots=True)
class Best:
    """The best measurement so far and the weights that it measured."""

    value: float
    images_seen: int
    weights: dict[str, Tensor]


class Run(ABC):
    """A run of ``config``; ``data_digest`` is by which it knows its images again.

    ``quality`` measures a generator, lower is better; a classifier is measured by its accuracy on ``test``, images
    uint8 (N, C, H, W) and labels (N,). The precision is that of ``config``, whatever the runtime says.
    """

    data_digest: str

    def __init__(
        self,
        config: TrainConfig,
        runtime: Runtime,
        quality: Callable[[Generator], float] | None,
        test: tuple[Tensor, Tensor] | None,
    ) -> None:
        self.config = config
        self.runtime = replace(runtime, precision=config.precision)
        self.step = 0
        self.sampled_at: int | None = None
        self.measured_at = 0
        self.best: Best | None = None
        self.micro_batch = config.device_batch_size  # images in the networks of each device at a time
        self.diversions = 0
        self.guard = CollapseGuard(config.model.options)
        self._quality = quality
        self._test = test
        self._meter = Meter()

    @property
    @abstractmethod
    def images_seen(self) -> int:
        """The images that were learnt from."""

    @property
    @abstractmethod
    def total_images(self) -> int:
        """The budget: what ``images_seen`` is at the end, if the run does not end earlier."""

    @property
    def finished(self) -> bool:
        """Whether the budget is spent, or the quality has collapsed for good."""
        return self.guard.stopped or self.images_seen >= self.total_images

    @property
    def divergences(self) -> int:
        """How often the run was diverted because it diverged, and not because its quality collapsed."""
        return self.diversions - self.guard.rollbacks

    @abstractmethod
    def tensors(self) -> dict[str, Any]:
        """What has been learnt, as nested mappings of tensors: with the counters, all that going on needs."""

    @abstractmethod
    def fill(self, stored: Mapping[str, Any]) -> None:
        """Take over what ``tensors`` gave."""

    @abstractmethod
    def _advance(self) -> Step:
        """Take one step."""

    @abstractmethod
    def _present(self) -> torch.nn.Module:
        """A copy of the network as it is to be used now."""

    @abstractmethod
    def _restored(self, weights: Mapping[str, Tensor]) -> torch.nn.Module:
        """The network with weights that ``_present`` had once."""

    @abstractmethod
    def _reseed(self) -> None:
        """Let the random numbers follow from the seed and the diversions."""

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
        """Return a generator with a copy of the weights to be used, of now or of the best measurement.

        Raises ConfigError when the model is no generator, or the best is asked for and nothing was measured.
        """
        network = self._product(which)
        if not isinstance(network, Decoder):
            raise self._is_another("it makes no images")
        return Generator(network, self.runtime)

    def classifier(self, which: Which = "last") -> Classifier:
        """Return a classifier with a copy of the averaged weights; raises ConfigError when the model is none."""
        network = self._product(which)
        if not isinstance(network, Encoder):
            raise self._is_another("it is no classifier")
        return Classifier(network, self.runtime)

    def predictor(self, which: Which = "last") -> Predictor:
        """Return a predictor with a copy of the averaged weights; raises ConfigError when the model is none."""
        network = self._product(which)
        if not isinstance(network, SequencePredictor):
            raise self._is_another("it predicts no frames")
        return Predictor(network, self.runtime)

    def model(self, which: Which = "last") -> Model:
        """Return the generator, classifier, codec, predictor or restorer, whichever is trained."""
        return model_of(self._product(which), self.runtime)

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

    def begin(self, file: IO[bytes]) -> None:
        """Begin with the networks and averages that another run of such networks has saved; call it before any step.

        Optimizers, counters and random numbers are those of a new run. Raises ConfigError for a model that cannot begin
        with another one, and CorruptCheckpoint when the file is unreadable, or its networks are of another make.
        """
        state.begin(self, file)

    def begin_with(self, stored: Mapping[str, Any]) -> None:  # noqa: ARG002  most models are networks
        """Take over the networks of what ``tensors`` gave another run."""
        raise self._is_another("it is made anew from its images, and begins with no other model")

    def divert(self) -> None:
        """Leave a path that ended in a divergence: other random numbers from here on.

        What follows is as reproducible as before: the new random numbers depend on the seed and on how often the run
        was diverted, which is saved.
        """
        self.diversions += 1
        self._reseed()
        self._meter = Meter()

    def _progress(self) -> Progress:
        losses, speed = self._meter.report()
        return Progress(self.images_seen, self.total_images, losses, speed, self.micro_batch)

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
        shows = self.config.model.traits.shown is not None
        return shows and self._is_due(self.sampled_at, self.config.samples_every)

    def _quality_is_due(self) -> bool:
        return self._is_measurable and self._is_due(self.measured_at, self.config.evaluate_every)

    @property
    def _is_measurable(self) -> bool:
        return self._quality is not None if self.config.model.traits.makes_images else self._test is not None

    def _samples(self, network: torch.nn.Module) -> Samples:
        assert isinstance(network, Decoder)
        indices = np.arange(self.config.sample_count, dtype=np.int64)
        return Samples(self.images_seen, Generator(network, self.runtime).sample(self.config.seed, indices))

    def _is_due(self, last: int | None, every: int) -> bool:
        """Whether a multiple of ``every`` was passed since ``last``, or the run has ended after it."""
        if not every or last == self.images_seen:
            return False
        return last is None or self.finished or self.images_seen // every > last // every

    def _measure(self, network: torch.nn.Module) -> float:
        if isinstance(network, Decoder):
            assert self._quality is not None
            return float(self._quality(Generator(network, self.runtime)))
        assert isinstance(network, Encoder)
        assert self._test is not None
        images, labels = self._test
        return float((Classifier(network, self.runtime).predict(images) == labels).double().mean())

    def _measured(self, value: float, network: torch.nn.Module) -> Quality:
        sign = -1 if self.config.model.traits.metric in HIGHER_IS_BETTER else 1
        is_best = self.best is None or sign * value < sign * self.best.value
        if is_best:
            self.best = Best(value, self.images_seen, dict(network.state_dict()))
            self.guard.anchor = state.snapshot(self) if self.guard.needs_anchor else None
        assert self.best is not None
        if self.guard.watches:
            self.guard.measured(value, self.best.value)
        return Quality(self.images_seen, value, is_best)

    def _collapse(self) -> Collapse:
        """Go on from the best state, on a path that leads elsewhere, or end."""
        assert self.best is not None
        seen, anchor = self.images_seen, self.guard.go_back()
        if anchor is not None:
            self._go_back(anchor)
            self.divert()
        return Collapse(seen, self.guard.value, self.best.images_seen, self.best.value, goes_on=anchor is not None)

    def _go_back(self, anchor: dict[str, Any]) -> None:
        """Return to where a snapshot was taken."""
        state.restore(self, anchor)

    def _is_another(self, so: str) -> ConfigError:
        return ConfigError(f"preset {self.config.preset!r} is a {self.config.model.traits.product}: {so}")

    def _product(self, which: Which) -> torch.nn.Module:
        if which == "last":
            return self._present()
        if self.best is None:
            raise ConfigError("the best weights were asked for, but nothing was measured; set evaluate_every")
        return self._restored(self.best.weights)

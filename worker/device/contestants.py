"""The models of a gate task: their images, what was measured of them, and how fast they are made."""

import logging
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from imagemodels import random
from imagemodels.data import ImageDataset
from imagemodels.errors import ConfigError, DataError
from imagemodels.evaluation.features import FeatureNet
from imagemodels.evaluation.protocol import evaluate
from imagemodels.evaluation.report import EvaluationReport
from imagemodels.evaluation.seeds import least_agreed, least_shown
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.soundness import bad_weights, batch_bytes, counted_pixels
from pixmill.errors import UserError
from pixmill.gates.judging import Sample
from pixmill.gates.measures import MEASURES
from pixmill.specs import GateSpec
from storage.pictures import TILE_PIXELS
from worker.assignment import ModelInput
from worker.device.desk import Desk
from worker.device.measuring import matching_labels
from worker.device.warm import WarmModels

log = logging.getLogger("job")

Images = npt.NDArray[np.uint8]

SHEET_COLUMNS = 10  # of the picture of each model; one for each class, where there are no more than MOST_COLUMNS
MOST_COLUMNS = 12
SHEET_ROWS = 6  # at most
SHEET_PIXELS = 800_000  # of a picture, about; one row may have more
CHUNK = 1000  # images between two looks at whether to stop
SPEED_ROUNDS = 6  # of each model, in turn
SPEED_SECONDS = 0.1  # of one round, about
MOST_BATCHES = 64  # of one round
BY_CLASS = {"class_share": least_shown, "class_agreement": least_agreed}


@dataclass
class Contestant:
    """One model, and what is known of it so far."""

    model: ModelInput
    generator: Generator
    bad_weights: int
    bad_pixels: int = 0
    reports: list[EvaluationReport] = field(default_factory=list)
    first_images: Images | None = None
    speeds: tuple[float, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether all that it is made of, and has made, are numbers."""
        return not self.bad_weights and not self.bad_pixels

    def samples(self, wanted: set[str]) -> dict[str, Sample]:
        """What was measured of it; of a model that is not sound nothing else.  Raises UserError as `figure` does."""
        found = {
            "bad_weights": Sample("bad_weights", (float(self.bad_weights),)),
            "bad_pixels": Sample("bad_pixels", (float(self.bad_pixels),)),
        }
        if not self.is_sound:
            return found
        return {**found, **{name: self._sample(name) for name in wanted}}

    def _sample(self, name: str) -> Sample:
        if name == "speed":
            return Sample("speed", self.speeds)
        if name == "memory":
            return Sample("memory", (float(batch_bytes(self.generator)),))
        return _class_sample(name, self.reports) if name in BY_CLASS else _metric_sample(name, self.reports)


def load_contestant(desk: Desk, warm: WarmModels, model: ModelInput) -> Contestant:
    """A model, ready to make images.  Raises ConfigError when it makes none."""
    generator = warm.get(desk.layout.resolve(model.folder), model.digest, "fp32")
    if not isinstance(generator, Generator):
        raise ConfigError(f"model {model.reference} is a {type(generator).__name__.lower()}: it makes no images")
    log.info("model %s, digest %s", model.reference, generator.digest)
    return Contestant(model, generator, bad_weights(generator.network))


@dataclass(frozen=True)
class Bench:
    """What all contestants are measured with."""

    desk: Desk
    spec: GateSpec
    data: ImageDataset
    net: FeatureNet
    runtime: Runtime
    columns: int = SHEET_COLUMNS  # of the pictures

    @property
    def shown(self) -> int:
        """How many images of each model its picture has: whole rows."""
        row_pixels = self.columns * max(TILE_PIXELS, self.data.image_size) ** 2
        return self.columns * max(1, min(SHEET_ROWS, SHEET_PIXELS // row_pixels))

    @property
    def wanted(self) -> set[str]:
        """The measures that gates are about."""
        assert self.spec.gates is not None  # both are filled in at submit
        assert self.spec.primary is not None
        return {*self.spec.gates, self.spec.primary}

    def measure(self, contestant: Contestant, seed: int) -> None:
        """Make the images of a seed, and measure them."""
        model, generator = contestant.model, contestant.generator
        with counted_pixels(generator) as pixels:
            images = self._images(contestant, seed)
        contestant.bad_pixels += pixels.bad
        if contestant.first_images is None:
            contestant.first_images = images[: self.shown].copy()  # a view would hold all of them
        if not contestant.is_sound:
            log.error("%s: %d of %d pixels of seed %d are no numbers", model.reference, pixels.bad, pixels.count, seed)
            return
        count = generator.num_classes
        labels = random.labels(np.arange(len(images), dtype=np.int64), count) if count else None
        report = evaluate(
            self.data,
            images,
            matching_labels(self.data, model, labels),
            feature_net=self.net,
            runtime=self.runtime,
            seed=seed,
            progress=self.desk.measuring,
            usefulness="usefulness" in self.wanted,
        )
        contestant.reports.append(report)

    def _images(self, contestant: Contestant, seed: int) -> Images:
        """The images that a generate job of this seed begins with."""
        count = self.spec.images
        parts: list[Images] = []
        for first in range(0, count, CHUNK):
            self.desk.measuring(f"sampling {contestant.model.reference}, seed {seed}", first / count)
            numbers = np.arange(first, min(first + CHUNK, count), dtype=np.int64)
            parts.append(contestant.generator.sample(seed, numbers))
        return np.concatenate(parts)


def sheet_columns(generator: Generator) -> int:
    """A column for each class, of which image i shows the i-th, in turn; without classes, or with many, as it fits."""
    classes = generator.num_classes
    return classes if 1 < classes <= MOST_COLUMNS else SHEET_COLUMNS


def time_in_turn(desk: Desk, contestants: Sequence[Contestant]) -> None:
    """Let all of them make the same number of images, round by round, each second round in the other order.

    What slows the machine down for a while so meets all of them. The images of a first round are not counted.
    """
    batches = max(_batches_a_round(one.generator) for one in contestants)
    speeds: dict[str, list[float]] = {one.model.reference: [] for one in contestants}
    for number in range(SPEED_ROUNDS):
        desk.measuring("timing", number / SPEED_ROUNDS)
        for one in contestants[:: -1 if number % 2 else 1]:
            count = batches * one.generator.batch_size
            speeds[one.model.reference].append(count / _seconds(one.generator, count))
    for one in contestants:
        one.speeds = tuple(speeds[one.model.reference])


def _batches_a_round(generator: Generator) -> int:
    _seconds(generator, generator.batch_size)  # the first one is slower
    seconds = _seconds(generator, generator.batch_size)
    return min(MOST_BATCHES, max(1, math.ceil(SPEED_SECONDS / seconds)))


def _seconds(generator: Generator, count: int) -> float:
    began = time.perf_counter()
    generator.sample(0, np.arange(count, dtype=np.int64))
    return time.perf_counter() - began


def _metric_sample(name: str, reports: Sequence[EvaluationReport]) -> Sample:
    try:
        metrics = [report.metric(name) for report in reports]
    except DataError:
        raise _not_measured(name, reports[0]) from None
    control = MEASURES[name].real
    real = [None if control is None else metric.control(control) for metric in metrics]
    known = tuple(value for value in real if value is not None)
    values = tuple(metric.value for metric in metrics)
    return Sample(metrics[0].name, values, known if len(known) == len(values) else None)


def _class_sample(name: str, reports: Sequence[EvaluationReport]) -> Sample:
    found = [BY_CLASS[name](report.classes) for report in reports]
    known = [pair for pair in found if pair is not None]
    if len(known) < len(found):
        raise _not_measured(name, reports[0])
    least, _times = Counter(class_name for class_name, _share in known).most_common(1)[0]
    full_name = f"{name}@{reports[0].feature_net}"
    return Sample(full_name, tuple(share for _name, share in known), note=f"least: {least!r}")


def _not_measured(name: str, report: EvaluationReport) -> UserError:
    return UserError(
        f"gate {name}: it is not measured against data set {report.dataset}, by feature net {report.feature_net}",
        hint="name labelled data with the model's classes, or leave the gate out",
    )

"""A generate task: its range of shards, each a function of model, seed and numbers alone; of a restore job, all."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from imagemodels.data import SequenceDataset
from imagemodels.errors import ConfigError, DataError
from imagemodels.model import Model
from imagemodels.prediction import Predictor
from imagemodels.sampling import Generator
from pixmill.specs import AnimateSpec, EditSpec, GenerateSpec, RestoreSpec, parse_spec
from storage.shards import ImageBatch, ShardMeta, ShardRange, shard_plan, write_shard
from worker.assignment import ModelInput
from worker.device.desk import Desk
from worker.device.editing import EditTask
from worker.device.makers import Forecasts, ImageMaker, Samples, Walks
from worker.device.real_images import read_sequences
from worker.device.restore import restorations
from worker.device.warm import WarmModels

log = logging.getLogger("job")


def run_generate(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Write the shards of the task that are not published yet, and report each as soon as it is on disk."""
    task = _Task(desk, warm)
    started = time.monotonic()
    for shard in task.missing():
        record = write_shard(desk.folder, shard.number, task.batches(shard), task.meta(shard))
        desk.publish_shard(record)
        log.info("shard %d: %d images, tar sha256 %s", record.number, record.count, record.tar_sha256)
    desk.progress("written", task.total, task.total)
    seconds = round(time.monotonic() - started, 3)
    return {"images": task.total, "shards": len(task.planned), "seconds": seconds, "batch_size": task.batch_size}


class _Task:
    """The range of shards, and what makes their images."""

    def __init__(self, desk: Desk, warm: WarmModels) -> None:
        spec = parse_spec(desk.assignment.spec)
        assert isinstance(spec, GenerateSpec | AnimateSpec | EditSpec | RestoreSpec)
        self._desk = desk
        self._spec = spec
        self._maker = _maker(desk, warm, spec)
        shards = shard_plan(self._maker.images, spec.shard_size)
        first = desk.assignment.params.get("first_shard", 0)
        self.planned = shards[first : first + desk.assignment.params.get("shards", len(shards))]
        self.total = sum(shard.count for shard in self.planned)
        self._done = 0
        self._started = time.monotonic()
        self._made_here = 0

    def meta(self, shard: ShardRange) -> ShardMeta:
        """What the images of a shard are made from."""
        return ShardMeta(
            checkpoint_sha256=self._maker.model.digest,
            precision=self._maker.model.precision,
            seed=self._spec.seed,
            class_names=self._maker.class_names,
            label_files=isinstance(self._spec, GenerateSpec) and self._spec.labels_in_tar,
            animation=self._maker.animation,
            origin=self._maker.origin(np.arange(shard.first_index, shard.first_index + shard.count)),
            edit=self._maker.edit,
        )

    @property
    def batch_size(self) -> int:
        """How many images the network makes at a time; fewer than usual when the memory ran out."""
        return self._maker.model.batch_size

    def missing(self) -> Iterator[ShardRange]:
        """The planned shards without those that an earlier attempt published."""
        published = set(self._desk.assignment.params.get("published_shards", ()))
        for shard in self.planned:
            if shard.number in published:
                self._done += shard.count
            else:
                yield shard

    def batches(self, shard: ShardRange) -> Iterator[ImageBatch]:
        """Make the shard's images.  Raises StopRequested between two batches."""
        step = self._maker.batch_images
        for first in range(shard.first_index, shard.first_index + shard.count, step):
            self._desk.check_stop()
            last = min(first + step, shard.first_index + shard.count)
            indices = np.arange(first, last, dtype=np.int64)
            images, labels = self._maker.make(indices)
            seeds = np.full(len(indices), self._spec.seed, dtype=np.int64)
            yield ImageBatch(first, images, seeds, labels, self._maker.edits(indices))
            self._advance(len(indices))

    def _advance(self, count: int) -> None:
        self._done += count
        self._made_here += count
        rate = self._made_here / max(1e-9, time.monotonic() - self._started)
        self._desk.progress("generating", min(self._done, self.total - 1), self.total, rate=rate)


def _maker(desk: Desk, warm: WarmModels, spec: GenerateSpec | AnimateSpec | EditSpec | RestoreSpec) -> ImageMaker:
    """What the spec asks for, of the model that it names.  Raises ConfigError when that cannot do it."""
    assert desk.assignment.model is not None
    described = desk.assignment.model
    model = _load(desk, warm, described, spec.precision)
    if isinstance(spec, RestoreSpec):
        return restorations(desk, spec, described, model)
    if isinstance(spec, AnimateSpec) and isinstance(model, Predictor):
        return Forecasts(spec, model, _sequences(desk, described))
    if isinstance(spec, EditSpec):
        return EditTask(desk, warm, spec, described).maker(model, _class_numbers(spec, described))
    if not isinstance(model, Generator):
        raise ConfigError(f"model {described.reference} is a {type(model).__name__.lower()}: it makes no images")
    chosen = _class_numbers(spec, described)
    if isinstance(spec, AnimateSpec):
        return Walks(spec, model, described.classes, chosen)
    return Samples(spec, model, described.classes, chosen)


def _load(desk: Desk, warm: WarmModels, model: ModelInput, precision: str) -> Model:
    desk.measuring("loading the model", 0.0)
    warm.prepare(model.image_size)
    loaded = warm.get(desk.layout.resolve(model.folder), model.digest, precision)
    log.info("model %s, digest %s, %s", model.reference, loaded.digest, warm.runtime(precision).resolved_precision)
    return loaded


def _sequences(desk: Desk, model: ModelInput) -> SequenceDataset:
    """The sequences that the model was trained on.  Raises DataError when they are not the same any more."""
    data = read_sequences(
        desk,
        model.dataset,
        image_size=model.image_size,
        channels=model.channels,
        on_bad_image="skip",  # as in training, or the fingerprint tells
    )
    if data.fingerprint != model.dataset_fingerprint:
        found = f"its fingerprint is {data.fingerprint}, and was {model.dataset_fingerprint}"
        raise DataError(f"data set {model.dataset} has changed since model {model.reference} was trained: {found}")
    return data


def _class_numbers(spec: GenerateSpec | AnimateSpec | EditSpec, model: ModelInput) -> npt.NDArray[np.int64] | None:
    if spec.classes is None:
        return None
    unknown = [name for name in spec.classes if name not in model.classes]
    if unknown:
        known = ", ".join(model.classes) or "it was trained without classes"
        raise ConfigError(f"model {model.reference} has no class {unknown[0]!r}; classes: {known}")
    return np.asarray([model.classes.index(name) for name in spec.classes], dtype=np.int64)

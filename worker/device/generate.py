"""A generate task: its range of shards, each a function of model, seed and numbers alone."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from imagemodels.errors import ConfigError
from imagemodels.random import labels as labels_in_turn
from imagemodels.sampling import Generator
from pixmill.specs import GenerateSpec
from storage.shards import ImageBatch, ShardMeta, ShardRange, shard_plan, write_shard
from worker.assignment import ModelInput
from worker.device.desk import Desk
from worker.device.warm import WarmModels

log = logging.getLogger("job")

# Encoded and written at a time. What takes the device's memory is the smaller batch in which the generator makes them,
# and which it halves by itself when it must; this number has no influence on any pixel.
BATCH_IMAGES = 512


def run_generate(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Write the shards of the task that are not published yet, and report each as soon as it is on disk."""
    task = _Task(desk, warm)
    started = time.monotonic()
    for shard in task.missing():
        record = write_shard(desk.folder, shard.number, task.batches(shard), task.meta)
        desk.publish_shard(record)
        log.info("shard %d: %d images, tar sha256 %s", record.number, record.count, record.tar_sha256)
    desk.progress("written", task.total, task.total)
    seconds = round(time.monotonic() - started, 3)
    return {"images": task.total, "shards": len(task.planned), "seconds": seconds, "batch_size": task.batch_size}


class _Task:
    """The range of shards, and the model that makes their images."""

    def __init__(self, desk: Desk, warm: WarmModels) -> None:
        assert desk.assignment.model is not None
        self._desk = desk
        self._spec = GenerateSpec.model_validate(desk.assignment.spec)
        self._generator = _load(desk, warm, desk.assignment.model, self._spec.precision)
        self._chosen = _class_numbers(self._spec, desk.assignment.model)
        first, count = desk.assignment.params["first_shard"], desk.assignment.params["shards"]
        self.planned = shard_plan(self._spec.n, self._spec.shard_size)[first : first + count]
        self.total = sum(shard.count for shard in self.planned)
        self._done = 0
        self._started = time.monotonic()
        self._made_here = 0
        self.meta = ShardMeta(
            checkpoint_sha256=self._generator.digest,
            precision=self._generator.precision,
            seed=self._spec.seed,
            class_names=desk.assignment.model.classes,
            label_files=self._spec.labels_in_tar,
        )

    @property
    def batch_size(self) -> int:
        """How many images the network makes at a time; fewer than usual when the memory ran out."""
        return self._generator.batch_size

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
        for first in range(shard.first_index, shard.first_index + shard.count, BATCH_IMAGES):
            self._desk.check_stop()
            last = min(first + BATCH_IMAGES, shard.first_index + shard.count)
            indices = np.arange(first, last, dtype=np.int64)
            labels = self._labels(indices)
            images = self._generator.sample(self._spec.seed, indices, labels)
            seeds = np.full(len(indices), self._spec.seed, dtype=np.int64)
            yield ImageBatch(first, images, seeds, labels)
            self._advance(len(indices))

    def _advance(self, count: int) -> None:
        self._done += count
        self._made_here += count
        rate = self._made_here / max(1e-9, time.monotonic() - self._started)
        self._desk.progress("generating", min(self._done, self.total - 1), self.total, rate=rate)

    def _labels(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        if not self._generator.num_classes:
            return None
        if self._chosen is None:
            return labels_in_turn(indices, self._generator.num_classes)
        return self._chosen[indices % len(self._chosen)]


def _load(desk: Desk, warm: WarmModels, model: ModelInput, precision: str) -> Generator:
    desk.measuring("loading the model", 0.0)
    warm.prepare(model.image_size)
    loaded = warm.get(desk.layout.resolve(model.folder), model.digest, precision)
    if not isinstance(loaded, Generator):
        raise ConfigError(f"model {model.reference} is a {type(loaded).__name__.lower()}: it makes no images")
    log.info("model %s, digest %s, %s", model.reference, loaded.digest, loaded.precision)
    return loaded


def _class_numbers(spec: GenerateSpec, model: ModelInput) -> npt.NDArray[np.int64] | None:
    if spec.classes is None:
        return None
    unknown = [name for name in spec.classes if name not in model.classes]
    if unknown:
        known = ", ".join(model.classes) or "it was trained without classes"
        raise ConfigError(f"model {model.reference} has no class {unknown[0]!r}; classes: {known}")
    return np.asarray([model.classes.index(name) for name in spec.classes], dtype=np.int64)

"""A generate task: its range of shards, each a function of model, seed and numbers alone; of a restore job, all."""

import logging
import time
from collections.abc import Generator as Series
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import Any

import numpy as np

from imagemodels.data import SequenceDataset
from imagemodels.errors import ConfigError, DataError
from imagemodels.model import Model
from imagemodels.prediction import Predictor
from imagemodels.sampling import Generator
from pixmill.errors import UserError
from pixmill.specs import AnimateSpec, EditSpec, GenerateSpec, RestoreSpec, parse_spec
from pixmill.specs.formats import FILES_HINT, FILES_REFUSED
from storage.encoders import PIXELS, find_encoder
from storage.png import Encoder
from storage.records import WEBDATASET
from storage.shards import FileBatch, ImageBatch, ShardMeta, ShardRange, ShardRecord, shard_plan, write_shard
from worker.assignment import ModelInput
from worker.device.choosing import Chosen, chooses
from worker.device.classes import class_numbers, classes_of
from worker.device.desk import Desk
from worker.device.dictation import Commission, Dictation
from worker.device.editing import EditTask
from worker.device.made import Integers, Made, MadeFiles
from worker.device.makers import Forecasts, ImageMaker, Samples, Walks
from worker.device.mixture import mixture_of
from worker.device.real_images import read_sequences
from worker.device.restore import restorations
from worker.device.screens import screens_of
from worker.device.sending import Sender
from worker.device.spending import Rate, Spending
from worker.device.warm import WarmModels

ShardsSpec = GenerateSpec | AnimateSpec | EditSpec | RestoreSpec

WORTH_HANDS_SECONDS = 8.0  # of work that is left of the job: each hand needs two or three to import torch
WORTH_SCRIBES_SECONDS = 3.0  # likewise; each needs some tenths of a second to import what it needs

log = logging.getLogger("job")


def run_generate(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Write the shards of the task that are not published yet, and report each as soon as it is on disk."""
    started = time.monotonic()
    with (
        closing(_Task(desk, warm)) as task,
        closing(task.records()) as records,
        closing(Sender(desk, task.spending, task.wait_for_upload)) as sender,
    ):
        for record in records:
            sender.take(record)
            log.info("shard %d: %d images, tar sha256 %s", record.number, record.count, record.tar_sha256)
        sender.finish()
    desk.progress("written", task.total, task.total)
    return {
        "images": task.total,
        "shards": len(task.planned),
        "seconds": round(time.monotonic() - started, 3),
        "batch_size": task.batch_size,
        **task.pace,
    }


class _Task:
    """The range of shards, and what makes their images."""

    def __init__(self, desk: Desk, warm: WarmModels) -> None:
        spec = spec_of(desk)
        if format_of(spec) == "files" and desk.assignment.outputs is not None:
            raise UserError(FILES_REFUSED, hint=FILES_HINT)
        self._desk = desk
        self._spec = spec
        self._maker = image_maker(desk, warm)
        shards = shard_plan(self._maker.images, spec.shard_size)
        first = desk.assignment.params.get("first_shard", 0)
        self.planned = shards[first : first + desk.assignment.params.get("shards", len(shards))]
        self.total = sum(shard.count for shard in self.planned)
        published = set(desk.assignment.params.get("published_shards", ()))  # by an earlier attempt
        self.missing = [shard for shard in self.planned if shard.number not in published]
        self._left = sum(shard.count for shard in self.missing)
        self._hands = warm.hands if isinstance(spec, GenerateSpec) else None
        self._scribes = warm.scribes if isinstance(spec, GenerateSpec) else None
        self._batch_images = self._maker.shared_batch_images if self._hands else self._maker.batch_images
        self._made = self._make(numbers for shard in self.missing for numbers in self._batches(shard))
        self._started = time.monotonic()
        self.spending, self._rate = Spending(), Rate()
        self._made_here = 0

    def records(self) -> Series[ShardRecord]:
        """Write the missing shards, and give each when it is on disk; by scribes as soon as they are there."""
        for place, shard in enumerate(self.missing):
            if self._has_scribes():
                assert self._scribes is not None
                yield from Dictation(self._scribes, self._commission(), self.missing[place:]).records()
                return
            yield self.write(shard)

    def write(self, shard: ShardRange) -> ShardRecord:
        """Make the images of the next missing shard, and write them as the spec wants them."""
        return write_shard(
            self._desk.folder,
            shard.number,
            self.batches(shard),
            self.meta(shard),
            encoder=encoder_of(self._spec),
            format_name=format_of(self._spec),
            expected_count=shard.count,
            writing=self.spending.writing,
        )

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
            choice=self._maker.choice,
        )

    def wait_for_upload(self) -> None:
        """Tell that a shard is still on its way to its bucket.  Raises StopRequested."""
        self._desk.check_stop()
        self._desk.progress("uploading", self.total - max(1, self._left), self.total)

    @property
    def batch_size(self) -> int:
        """How many images the network makes at a time; fewer than usual when the memory ran out."""
        return self._maker.batch_size

    def batches(self, shard: ShardRange) -> Iterator[ImageBatch | FileBatch]:
        """The images of the next missing shard, each batch counted once it is written.

        Raises StopRequested between two batches.
        """
        for numbers in self._batches(shard):
            self._desk.check_stop()
            began = time.perf_counter()
            made = next(self._made)
            self.spending.waited(time.perf_counter() - began, made.shares)
            seeds = np.full(len(numbers), self._spec.seed, dtype=np.int64)
            yield made.batch(int(numbers[0]), seeds, self._maker.edits(numbers))
            self._advance(len(numbers))

    @property
    def pace(self) -> dict[str, Any]:
        """Images that this attempt has made, in which seconds since its model was there, and what those went to."""
        seconds = round(time.monotonic() - self._started, 3)
        return {"made": self._made_here, "making_seconds": seconds, "spent": self.spending.seconds}

    def close(self) -> None:
        """Let go of whoever still makes images."""
        self._made.close()

    def _has_scribes(self) -> bool:
        """Whether scribes are ready; they are started when it will still take long without them."""
        if self._scribes is None:
            return False
        slot_bytes = self._commission().slot_bytes
        seconds_each = (time.monotonic() - self._started) / max(1, self._made_here)
        if self._made_here and self._left * seconds_each > WORTH_SCRIBES_SECONDS:
            self._scribes.begin(slot_bytes)
        return self._scribes.are_ready(slot_bytes)

    def _commission(self) -> Commission:
        assert self._desk.assignment.model is not None
        model = self._desk.assignment.model
        return Commission(
            folder=self._desk.folder,
            shape=(model.image_size, model.image_size, model.channels),
            seed=self._spec.seed,
            encoder=encoder_name_of(self._spec),
            format_name=format_of(self._spec),
            batch_images=self._batch_images,
            meta=self.meta,
            make_into=self._maker.make_into,
            check=self._desk.check_stop,
            advance=self._advance,
            waited=self.spending.waited,
        )

    def _batches(self, shard: ShardRange) -> Iterator[Integers]:
        last = shard.first_index + shard.count
        for first in range(shard.first_index, last, self._batch_images):
            yield np.arange(first, min(first + self._batch_images, last), dtype=np.int64)

    def _make(self, batches: Iterator[Integers]) -> Series[Made | MadeFiles]:
        """The images of each batch; where it takes long on a CPU, by hands as soon as they are there."""
        seconds, count = 0.0, 0
        for numbers in batches:
            if self._hands and self._hands.are_ready:
                rest = chain([numbers], batches)
                yield from self._hands.make_all(self._desk.assignment, rest, self._maker.made, self._desk.check_stop)
                return
            began = time.monotonic()
            made = self._maker.made(numbers)
            seconds, count = seconds + time.monotonic() - began, count + len(numbers)
            if self._hands and (self._maker.images - int(numbers[-1])) * seconds / count > WORTH_HANDS_SECONDS:
                self._hands.begin()
            yield made

    def _advance(self, count: int) -> None:
        self._left -= count
        self._made_here += count
        done, rate = self.total - max(1, self._left), self._rate.add(count)
        self._desk.progress("generating", done, self.total, rate=rate, spent=self.spending.seconds)


def format_of(spec: ShardsSpec) -> str:
    """The format of the shards of a job."""
    return (spec.format if isinstance(spec, GenerateSpec) else None) or WEBDATASET


def encoder_of(spec: ShardsSpec) -> Encoder:
    """What makes the image files of a job."""
    return find_encoder(encoder_name_of(spec))


def encoder_name_of(spec: ShardsSpec) -> str | None:
    """Its name, as people ask for it; None: the default."""
    if not isinstance(spec, GenerateSpec):
        return None
    return PIXELS if spec.format == "raw" else spec.encoder


def image_maker(desk: Desk, warm: WarmModels) -> ImageMaker:
    """What the task's spec asks for, of the model that it names.  Raises ConfigError when that cannot do it."""
    spec = spec_of(desk)
    assert desk.assignment.model is not None
    described = desk.assignment.model
    model = _load(desk, warm, described, spec)
    if isinstance(spec, RestoreSpec):
        return restorations(desk, spec, described, model)
    if isinstance(spec, AnimateSpec) and isinstance(model, Predictor):
        return Forecasts(spec, model, _sequences(desk, described))
    if isinstance(spec, EditSpec):
        return EditTask(desk, warm, spec, described).maker(model, class_numbers(spec.classes, described))
    if not isinstance(model, Generator):
        raise ConfigError(f"model {described.reference} is a {type(model).__name__.lower()}: it makes no images")
    if isinstance(spec, AnimateSpec):
        return Walks(spec, model, described.classes, class_numbers(spec.classes, described))
    classes = classes_of(spec, described, model.num_classes)
    if chooses(spec):
        further = [(one, _load(desk, warm, one, spec)) for one in desk.assignment.further_models]
        mixture = mixture_of(spec, (described, model), further)
        return Chosen(spec, mixture, classes, screens_of(desk, warm, spec, model), desk.check_stop)
    return Samples(spec, model, described.classes, classes)


def spec_of(desk: Desk) -> ShardsSpec:
    """What the job asks for."""
    spec = parse_spec(desk.assignment.spec)
    assert isinstance(spec, ShardsSpec)
    return spec


def _load(desk: Desk, warm: WarmModels, model: ModelInput, spec: ShardsSpec) -> Model:
    desk.measuring("loading the model", 0.0)
    warm.prepare(model.image_size, is_shared_out=isinstance(spec, GenerateSpec))
    loaded = warm.get(desk.layout.resolve(model.folder), model.digest, spec.precision)
    precision = warm.runtime(spec.precision).resolved_precision
    log.info("model %s, digest %s, %s", model.reference, loaded.digest, precision)
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

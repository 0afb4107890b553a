"""What a train task learns from: images, pairs of them or sequences, and how each is shown to people."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from imagemodels.data import ImageDataset, PairedDataset, SequenceDataset, load_pairs, names_pairs, names_sequences
from imagemodels.evaluation.features import image_tensor, spread_rows
from imagemodels.evaluation.figures import restoration_metrics, sequence_metrics
from imagemodels.evaluation.restorations import judge_restorations
from imagemodels.evaluation.sequences import evaluate_sequences
from imagemodels.options import SequenceOptions
from imagemodels.prediction import Predictor
from imagemodels.presets import options_for_pairs, resolve
from imagemodels.restoration import Restorer
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.ranks import Ranks
from imagemodels.training.restoration_trainer import RestorationTrainer
from imagemodels.training.run import Run
from imagemodels.training.runs import new_run
from pixmill.specs import TrainSpec
from storage.pictures import contact_sheet, save_png
from worker.assignment import StartInput
from worker.device.desk import Desk
from worker.device.real_images import read_real_images, read_sequences

log = logging.getLogger("job")

MEASUREMENTS = 10  # of quality in one run
SAMPLE_GRIDS = 12
GRID_IMAGES = 64
JUDGED_SEQUENCES = 256
SEQUENCE_REPORT = "sequences.json"
RESTORATION_REPORT = "restoration.json"

Data = ImageDataset | SequenceDataset | PairedDataset


def read_data(desk: Desk, spec: TrainSpec) -> Data:
    """Read the data set and log what it is.  Raises DataError."""
    data = _read(desk, spec)
    images = images_of(data)
    if spec.conditional:
        images.require_classes()
    log.info("data set %s: %d images, fingerprint %s", data.name, len(images), data.fingerprint)
    log.info("images of each class: %s", images.histogram() or "no classes")
    for path, reason in images.bad_images:
        log.warning("left out %s: %s", path, reason)
    return data


def images_of(data: Data) -> ImageDataset:
    """The single images of a data set: those that move, and those that are to be made."""
    match data:
        case SequenceDataset():
            return data.objects
        case PairedDataset():
            return data.targets
        case ImageDataset():
            return data


def _read(desk: Desk, spec: TrainSpec) -> Data:
    size, channels = spec.image_size, spec.channels
    if names_pairs(spec.dataset):
        return load_pairs(spec.dataset, image_size=size, channels=channels, progress=desk.measuring)
    read: Callable[..., Data] = read_sequences if names_sequences(spec.dataset) else read_real_images
    return read(desk, spec.dataset, image_size=size, channels=channels, on_bad_image=spec.on_bad_image)


def class_names(config: TrainConfig, data: Data) -> tuple[str, ...]:
    """The classes that the model learns; none if it learns none."""
    return images_of(data).class_names if config.num_classes else ()


def train_config(spec: TrainSpec, data: Data, start: StartInput | None = None) -> TrainConfig:
    """What the spec asks for, of this data and from this beginning."""
    needs_classes = spec.conditional or resolve(spec.model).family == "classifier"
    num_classes = len(data.class_names) if needs_classes and isinstance(data, ImageDataset) else 0
    return TrainConfig(
        preset=spec.model,
        image_size=data.image_size,
        channels=data.channels,
        images=spec.images,
        num_classes=num_classes,
        overrides=options_for_pairs(spec.model, spec.options) if isinstance(data, PairedDataset) else spec.options,
        batch_size=spec.batch_size,
        seed=spec.seed,
        precision=spec.precision,
        devices=spec.devices,
        images_before=start.images if start else 0,
        evaluate_every=max(1, spec.images // MEASUREMENTS),
        samples_every=max(1, spec.images // SAMPLE_GRIDS),
        sample_count=GRID_IMAGES,
    )


def new_trainer(
    config: TrainConfig, data: Data, runtime: Runtime, measure: Callable[[Generator], float] | None, ranks: Ranks
) -> Run:
    """Return a run on the training part of the data, at the start."""
    if isinstance(data, SequenceDataset):
        return new_run(config, data, None, runtime, ranks=ranks)
    if isinstance(data, PairedDataset):
        return _run_on_pairs(config, data, runtime)
    test_images, test_labels = None, None
    if config.model.traits.judges_held_out:  # measured by what it has not seen
        held_out = spread_rows(data, data.test_indices)
        test_images, test_labels = image_tensor(data, held_out), _labels(data, held_out, config)
    tests = {"test_images": test_images, "test_labels": test_labels}
    labels = _labels(data, data.train_indices, config)
    if data.is_packed:  # read from its file, batch by batch
        rows = torch.from_numpy(data.train_indices)
        return new_run(config, image_tensor(data), labels, runtime, measure, rows=rows, ranks=ranks, **tests)
    return new_run(config, image_tensor(data, data.train_indices), labels, runtime, measure, ranks=ranks, **tests)


def _run_on_pairs(config: TrainConfig, data: PairedDataset, runtime: Runtime) -> Run:
    images = data.targets
    given, test_given = (_pixels(data.given[part]) for part in (images.train_indices, images.test_indices))
    return new_run(
        config,
        image_tensor(images, images.train_indices),
        None,
        runtime,
        test_images=image_tensor(images, images.test_indices),
        given=given,
        test_given=test_given,
    )


def _pixels(images: np.ndarray[Any, np.dtype[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def _labels(
    data: ImageDataset, indices: np.ndarray[Any, np.dtype[np.int64]], config: TrainConfig
) -> torch.Tensor | None:
    return torch.from_numpy(data.labels[indices]) if config.num_classes and data.labels is not None else None


def save_real_grid(desk: Desk, config: TrainConfig, data: Data) -> None:
    """Leave a picture of what is learnt from."""
    if isinstance(data, SequenceDataset):
        frames = _length(config)
        shown = data.sequences(np.arange(max(1, GRID_IMAGES // frames)), frames, held_out=False)
        sheet = contact_sheet(shown.reshape(-1, *shown.shape[2:]), columns=frames)
    else:
        sheet = contact_sheet(_real_images(images_of(data)))
    save_png(desk.folder / "reals.png", sheet)


def _real_images(data: ImageDataset) -> np.ndarray[Any, np.dtype[np.uint8]]:
    chosen = data.train_indices[:GRID_IMAGES]
    if data.labels is not None:  # one class after the other, as in the generated grids
        by_class = [data.train_indices[data.labels[data.train_indices] == label] for label in range(data.num_classes)]
        rows = [members[row] for row in range(GRID_IMAGES) for members in by_class if row < len(members)]
        chosen = np.asarray(rows[:GRID_IMAGES], dtype=np.int64)
    return data.images[chosen]


def judge_sequences(desk: Desk, config: TrainConfig, predictor: Predictor, data: SequenceDataset) -> dict[str, Any]:
    """Judge predictions step by step beside their controls; gives where the figures lie, and what they are."""
    desk.measuring("judging the predictions", 0.0)
    frames = _length(config) - predictor.given_frames
    report = evaluate_sequences(predictor, data, frames=frames, count=JUDGED_SEQUENCES)
    path = desk.layout.relative(desk.write_json(SEQUENCE_REPORT, report.to_json()))
    metrics = [asdict(metric) for metric in sequence_metrics(report)]
    return {"sequences": path, "measured": {"images": report.sequences, "metrics": metrics}}


def judge_restored(desk: Desk, run: RestorationTrainer, restorer: Restorer) -> dict[str, Any]:
    """Judge restored images beside the damaged ones; gives where the figures lie, and what they are."""
    desk.measuring("judging the restored images", 0.0)
    report = judge_restorations(restorer, run.measured, held_out=run.measures_held_out)
    log.info("restored: PSNR %.2f dB, SSIM %.4f (n=%d)", report.restored.psnr, report.restored.ssim, report.n)
    log.info("damaged: PSNR %.2f dB, SSIM %.4f", report.damaged.psnr, report.damaged.ssim)
    if not report.held_out:
        log.warning("no image is held out: these were trained on")
    path = desk.layout.relative(desk.write_json(RESTORATION_REPORT, report.to_json()))
    metrics = [asdict(metric) for metric in restoration_metrics(report)]
    return {"restoration": path, "measured": {"images": report.n, "metrics": metrics}}


def _length(config: TrainConfig) -> int:
    options = config.model.options
    assert isinstance(options, SequenceOptions)
    return options.given_frames + options.predicted_frames

"""The evaluation as a whole: which images are compared with which, and in what order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imagemodels.data.dataset import ImageDataset
from imagemodels.errors import DataError
from imagemodels.evaluation.cautions import find_cautions
from imagemodels.evaluation.class_measures import agreement_metric, measure_classes
from imagemodels.evaluation.features import FeatureNet
from imagemodels.evaluation.inception import InceptionNet, inception_cautions, inception_metrics
from imagemodels.evaluation.memorisation import MemorisationMeasure, memorisation_measure
from imagemodels.evaluation.metrics import (
    FeatureSides,
    distance_metrics,
    manifold_metrics,
    memorisation_metrics,
    usefulness_metrics,
)
from imagemodels.evaluation.report import EvaluationReport, Metric, Neighbour
from imagemodels.evaluation.usefulness import LabelledImages, UsefulnessMeasure, usefulness_measures
from imagemodels.runtime import Runtime

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Progress = Callable[[str, float], None]

MIN_IMAGES = 10  # generated, training and held-out, each
MAX_MEASURED_IMAGES = 10_000  # generated or training images; more cost time and tell nothing new
MAX_NOISE_IMAGES = 1000
SHOWN_NEIGHBOURS = 16


@dataclass(frozen=True)
class _Subject:
    """What is evaluated: the generated images that are measured, where they stood, and their labels."""

    images: Images
    indices: Labels
    labels: Labels | None


def evaluate(
    dataset: ImageDataset,
    images: Images,
    labels: Labels | None = None,
    *,
    feature_net: FeatureNet,
    runtime: Runtime,
    seed: int = 0,
    progress: Progress | None = None,
    usefulness: bool = True,
    inception: InceptionNet | None = None,
) -> EvaluationReport:
    """Measure generated images, uint8 (N, H, W, C), against the real ones, with the controls of every metric.

    labels, int64 (N,), are the classes that the images were generated for; without them, or with usefulness False,
    no judge is trained on the images. With inception, the distances of its features are measured too. Of more than
    MAX_MEASURED_IMAGES images a random part is measured.
    progress is told (phase, share of it done); whatever it raises ends the evaluation.
    The report is the same for the same inputs, seed, machine and number of threads.

    Raises DataError when the images do not fit the data set, or when a side has fewer than MIN_IMAGES.
    """
    _check(dataset, images, labels, feature_net)
    tell = progress or _tell_nobody
    subject = _draw_subject(images, labels, seed)
    found = _compare(_sides(dataset, subject.images, seed), feature_net, inception, seed, tell)
    tell("memorisation", 0.0)
    memorisation = memorisation_measure(
        dataset.images[dataset.train_indices], dataset.images[dataset.test_indices], subject.images
    )
    found += memorisation_metrics(memorisation, len(dataset.train_indices))
    judged = _judge(dataset, subject, seed, runtime, tell) if usefulness else ()
    found = usefulness_metrics(judged) + found  # for who makes data sets, what they are good for comes first
    predicted = feature_net.predict(subject.images) if feature_net.kind == "cnn" else None
    if predicted is not None and subject.labels is not None:
        found.append(agreement_metric(dataset, predicted, subject.labels, feature_net))
    classes = measure_classes(dataset, predicted, subject.labels, judged)
    tell("done", 1.0)
    return EvaluationReport(
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        feature_net=feature_net.name,
        feature_net_digest=feature_net.digest,
        image_size=dataset.image_size,
        channels=dataset.channels,
        generated_images=len(images),
        measured_images=len(subject.images),
        seed=seed,
        metrics=tuple(found),
        classes=classes,
        confusion=_confusion(judged),
        neighbours=_neighbours(dataset, subject, memorisation),
        warnings=(
            *find_cautions(found, classes, feature_net, held_out_count=len(dataset.test_indices)),
            *(() if inception is None else inception_cautions(inception, found)),
        ),
        inception_sha256=None if inception is None else inception.sha256,
    )


def _tell_nobody(phase: str, share: float) -> None:
    """Stand in for the progress callback of a caller who gave none."""


def _check(dataset: ImageDataset, images: Images, labels: Labels | None, feature_net: FeatureNet) -> None:
    wanted = dataset.images.shape[1:]
    if images.dtype != np.uint8 or images.shape[1:] != wanted:
        raise DataError(
            f"images to evaluate against {dataset.name} must be uint8 (N, {', '.join(map(str, wanted))}); "
            f"found {images.dtype} {images.shape}"
        )
    counts = {"generated": len(images), "training": len(dataset.train_indices), "held-out": len(dataset.test_indices)}
    for side, count in counts.items():
        if count < MIN_IMAGES:
            raise DataError(f"an evaluation needs at least {MIN_IMAGES} {side} images; found {count}")
    if (feature_net.image_size, feature_net.channels) != (dataset.image_size, dataset.channels):
        raise DataError(f"feature net {feature_net.name} was made for other images than those of {dataset.name}")
    if labels is not None:
        _check_labels(dataset, labels, len(images))


def _check_labels(dataset: ImageDataset, labels: Labels, count: int) -> None:
    dataset.require_classes()
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"labels must be int64 ({count},), one an image; found {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= dataset.num_classes:
        raise DataError(f"labels run from {labels.min()} to {labels.max()}; {dataset.name} has {dataset.num_classes}")


def _draw_subject(images: Images, labels: Labels | None, seed: int) -> _Subject:
    if len(images) <= MAX_MEASURED_IMAGES:
        chosen = np.arange(len(images), dtype=np.int64)
    else:
        chosen = np.sort(np.random.default_rng([seed, 4]).permutation(len(images))[:MAX_MEASURED_IMAGES])
    return _Subject(images[chosen], chosen, None if labels is None else labels[chosen].astype(np.int64))


def _sides(dataset: ImageDataset, images: Images, seed: int) -> dict[str, Images]:
    """The generated images, and what they are compared with, under the names of FeatureSides."""
    generator = np.random.default_rng([seed, 5])
    training = generator.permutation(dataset.train_indices)[:MAX_MEASURED_IMAGES]
    noise_shape = (min(len(images), MAX_NOISE_IMAGES), *dataset.images.shape[1:])
    noise = generator.integers(0, 256, noise_shape, dtype=np.uint8)
    held_out = dataset.images[dataset.test_indices]
    return {"generated": images, "training": dataset.images[training], "held_out": held_out, "noise": noise}


def _measure_features(sides: dict[str, Images], feature_net: FeatureNet, tell: Progress) -> FeatureSides:
    features = {}
    for number, (side, images) in enumerate(sides.items()):
        tell("features", number / len(sides))
        features[side] = feature_net.features(images)
    return FeatureSides(**features, copies=features["training"][: len(features["generated"])])


def _compare(
    images: dict[str, Images], feature_net: FeatureNet, inception: InceptionNet | None, seed: int, tell: Progress
) -> list[Metric]:
    sides = _measure_features(images, feature_net, tell)
    tell("distances", 0.0)
    found = distance_metrics(sides, feature_net.name, seed)
    tell("coverage", 0.0)
    found += manifold_metrics(sides, feature_net.name, seed)
    return found if inception is None else found + inception_metrics(inception, images, seed, tell)


def _judge(
    dataset: ImageDataset, subject: _Subject, seed: int, runtime: Runtime, tell: Progress
) -> tuple[UsefulnessMeasure, ...]:
    if subject.labels is None or dataset.labels is None:
        return ()
    training, held_out = dataset.train_indices, dataset.test_indices
    return usefulness_measures(
        LabelledImages(subject.images, subject.labels),
        LabelledImages(dataset.images[training], dataset.labels[training]),
        LabelledImages(dataset.images[held_out], dataset.labels[held_out]),
        dataset.num_classes,
        seed=seed,
        runtime=runtime,
        limit=MAX_MEASURED_IMAGES,
        tell=lambda share: tell("usefulness", share),
    )


def _confusion(judged: tuple[UsefulnessMeasure, ...]) -> tuple[tuple[int, ...], ...]:
    network = next((measure for measure in judged if measure.judge == "cnn"), None)
    return () if network is None else tuple(tuple(row) for row in network.synthetic_confusion.tolist())


def _neighbours(dataset: ImageDataset, subject: _Subject, memorisation: MemorisationMeasure) -> tuple[Neighbour, ...]:
    closest = np.argsort(memorisation.nearest_distance, kind="stable")[:SHOWN_NEIGHBOURS]
    return tuple(
        Neighbour(
            generated_index=int(subject.indices[position]),
            dataset_index=int(dataset.train_indices[memorisation.nearest_training[position]]),
            distance=float(memorisation.nearest_distance[position]),
        )
        for position in closest
    )

"""How each class fares: what an average hides."""

import numpy as np
import numpy.typing as npt

from imagemodels.data.dataset import ImageDataset
from imagemodels.evaluation.features import FeatureNet
from imagemodels.evaluation.report import ClassMeasure, Control, Metric, known_or_none
from imagemodels.evaluation.usefulness import UsefulnessMeasure, accuracy, class_accuracy, confusion_matrix

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Values = list[float | None]


def measure_classes(
    dataset: ImageDataset,
    predicted: Labels | None,
    labels: Labels | None,
    judged: tuple[UsefulnessMeasure, ...],
) -> tuple[ClassMeasure, ...]:
    """Return one measure a class, of what is known: labels, predictions of the feature net, verdicts of the judge."""
    if dataset.labels is None:
        return ()
    count = dataset.num_classes
    training = np.bincount(dataset.labels[dataset.train_indices], minlength=count)
    agreement = _unknown(count)
    if labels is not None and predicted is not None:
        agreement = _values(class_accuracy(confusion_matrix(labels, predicted, count)))
    network = next((measure for measure in judged if measure.judge == "cnn"), None)
    synthetic = _values(class_accuracy(network.synthetic_confusion)) if network else _unknown(count)
    real = _values(class_accuracy(network.real_confusion)) if network else _unknown(count)
    return tuple(
        ClassMeasure(
            name=name,
            training_images=int(training[number]),
            generated_images=_count(labels, number),
            recognised_images=_count(predicted, number),
            agreement=agreement[number],
            synthetic_accuracy=synthetic[number],
            real_accuracy=real[number],
        )
        for number, name in enumerate(dataset.class_names)
    )


def agreement_metric(dataset: ImageDataset, predicted: Labels, labels: Labels, feature_net: FeatureNet) -> Metric:
    """Return how often the feature net sees the class that an image was generated for."""
    value = accuracy(confusion_matrix(labels, predicted, dataset.num_classes))
    held_out = len(dataset.test_indices)
    control = () if feature_net.accuracy is None else (Control("held_out_real", feature_net.accuracy, held_out),)
    return Metric(
        name=f"agreement@{feature_net.name}",
        value=value,
        n=len(labels),
        reference_n=held_out,
        better="higher",
        meaning="share of generated images that the feature net takes for the class they were generated for",
        controls=control,
        standard_error=float(np.sqrt(value * (1.0 - value) / len(labels))),
    )


def _values(array: npt.NDArray[np.float64]) -> Values:
    return [known_or_none(value) for value in array.tolist()]


def _unknown(count: int) -> Values:
    return [None] * count


def _count(classes: Labels | None, number: int) -> int | None:
    return None if classes is None else int((classes == number).sum())

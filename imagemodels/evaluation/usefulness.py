"""Train on synthetic images, test on real ones: the number for people who make data sets."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from imagemodels.classifier import train_classifier
from imagemodels.evaluation.features import images_tensor, measuring_runtime
from imagemodels.evaluation.thumbnails import thumbnail_rows
from imagemodels.runtime import Runtime

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Predictor = Callable[[Images], Labels]
Fit = Callable[[Images, Labels], Predictor]

FOREST_TREES = 200
FOREST_SIDES = {1: 32, 3: 16}  # pixels, by channels: about a thousand values, beyond which a forest gains nothing


@dataclass(frozen=True)
class LabelledImages:
    """Images uint8 (N, H, W, C) with labels int64 (N,)."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, count: int, generator: np.random.Generator) -> "LabelledImages":
        """Return so many of the images, each at most once, in random order."""
        chosen = generator.permutation(len(self))[:count]
        return LabelledImages(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class UsefulnessMeasure:
    """What a judge learnt from synthetic images and, with as many real ones and the same seed, from real images.

    synthetic_confusion and real_confusion are int64 (K, K): rows are the true classes of the held-out images,
    columns the classes that the judge gave them.
    """

    judge: str
    n: int
    synthetic_confusion: npt.NDArray[np.int64]
    real_confusion: npt.NDArray[np.int64]

    @property
    def synthetic_accuracy(self) -> float:
        """Accuracy on real held-out images after training on synthetic ones."""
        return accuracy(self.synthetic_confusion)

    @property
    def real_accuracy(self) -> float:
        """Accuracy on the same held-out images after training on real ones."""
        return accuracy(self.real_confusion)


def accuracy(confusion: npt.NDArray[np.int64]) -> float:
    """Return the share on the diagonal of a confusion matrix (K, K)."""
    return float(np.trace(confusion) / max(1, confusion.sum()))


def class_accuracy(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the accuracy (K,) of each true class; NaN for a class that was not tested."""
    tested = confusion.sum(1)
    shares: npt.NDArray[np.float64] = np.full(len(confusion), np.nan)
    np.divide(np.diag(confusion), tested, out=shares, where=tested > 0)
    return shares


def confusion_matrix(true: Labels, predicted: Labels, num_classes: int) -> npt.NDArray[np.int64]:
    """Return counts (K, K): row the true class, column the predicted one."""
    flat = np.bincount(true * num_classes + predicted, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes).astype(np.int64)


def usefulness_measures(
    synthetic: LabelledImages,
    real: LabelledImages,
    held_out: LabelledImages,
    num_classes: int,
    *,
    seed: int,
    runtime: Runtime,
    limit: int,
    tell: Callable[[float], None],
) -> tuple[UsefulnessMeasure, ...]:
    """Let a convolutional network and a random forest learn from synthetic and from real images, and test both.

    Both sides get the same number of images: that of the smaller side, at most limit. tell hears the share done.
    Classification accuracy score: Ravuri & Vinyals 2019 (arXiv 1905.10887).
    """
    count = min(len(synthetic), len(real), limit)
    generator = np.random.default_rng([seed, 1])
    sides = synthetic.draw(count, generator), real.draw(count, generator)
    judges: dict[str, Fit] = {
        "cnn": lambda images, labels: _fit_network(images, labels, num_classes, seed, runtime),
        "forest": lambda images, labels: _fit_forest(images, labels, seed, runtime),
    }
    measures = []
    for number, (judge, fit) in enumerate(judges.items()):
        confusions = []
        for side_number, side in enumerate(sides):
            tell((2 * number + side_number) / 4)
            predicted = fit(side.images, side.labels)(held_out.images)
            confusions.append(confusion_matrix(held_out.labels, predicted, num_classes))
        measures.append(UsefulnessMeasure(judge, count, *confusions))
    return tuple(measures)


def _fit_network(images: Images, labels: Labels, num_classes: int, seed: int, runtime: Runtime) -> Predictor:
    exact = measuring_runtime(runtime)
    classifier = train_classifier(images_tensor(images), torch.from_numpy(labels), num_classes, seed, exact)
    return lambda tested: classifier.predict(images_tensor(tested)).numpy()


def _fit_forest(images: Images, labels: Labels, seed: int, runtime: Runtime) -> Predictor:
    from sklearn.ensemble import RandomForestClassifier

    threads = runtime.threads or torch.get_num_threads()
    forest = RandomForestClassifier(n_estimators=FOREST_TREES, random_state=seed, n_jobs=threads)
    forest.fit(_forest_rows(images), labels)
    return lambda tested: np.asarray(forest.predict(_forest_rows(tested)), dtype=np.int64)


def _forest_rows(images: Images) -> npt.NDArray[np.float32]:
    return thumbnail_rows(images, FOREST_SIDES[images.shape[3]])

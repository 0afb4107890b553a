"""The network whose penultimate layer says how alike two images are."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from imagemodels.classifier import Classifier, train_classifier
from imagemodels.data.dataset import ImageDataset
from imagemodels.errors import DataError
from imagemodels.evaluation.feature_store import FeatureRecord, find_features, keep_features
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import ConvEncoderSpec
from imagemodels.runtime import Runtime

Images = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]

FEATURE_SIZE = 64  # small on purpose: the bias of a Fréchet distance grows with its square
MAX_SCALE_IMAGES = 10_000
MAX_LEARNT_BYTES = 2_000_000_000  # of pixels that a feature net learns from, or is tested on
RANDOM_WIDTH = 16  # channels of a random network's first stage


@dataclass(frozen=True)
class FeatureNet:
    """A network that turns images into features, with the name that every number made by it carries.

    kind      "cnn": a classifier trained on real images; "rnd": random weights, frozen, for images without at least
              two classes (Naeem et al. 2020, arXiv 2002.09797, section 5)
    scale     multiplies the activations so that over the training images their mean square is 1: a distance then does
              not depend on how large a network happens to make its numbers
    accuracy  of the classifier on the held-out images; None for random weights or without held-out images
    """

    classifier: Classifier
    kind: Literal["cnn", "rnd"]
    digest: str
    image_size: int
    channels: int
    scale: float = 1.0
    accuracy: float | None = None

    @property
    def name(self) -> str:
        """The kind and the first eight digits of the weights' sha256, such as ``cnn-1a2b3c4d``."""
        return f"{self.kind}-{self.digest[:8]}"

    def features(self, images: Images) -> Features:
        """Return float32 (N, F) for uint8 images (N, H, W, C) of the size and channels that it was made for.

        F is 64, unless it is a classifier that was trained with another number of features.
        """
        features_NF: Features = self.classifier.features(self._tensor(images)).numpy()
        return features_NF * np.float32(self.scale)

    def predict(self, images: Images) -> npt.NDArray[np.int64]:
        """Return the most likely class (N,), int64. Raises DataError for random weights, which know no class."""
        if self.kind == "rnd":
            raise DataError(f"feature net {self.name} has random weights and cannot tell classes apart")
        return self.classifier.predict(self._tensor(images)).numpy().astype(np.int64, copy=False)

    def _tensor(self, images: Images) -> Tensor:
        wanted = (self.image_size, self.image_size, self.channels)
        if images.dtype != np.uint8 or images.shape[1:] != wanted:
            raise DataError(
                f"feature net {self.name} takes uint8 images (N, {', '.join(map(str, wanted))}); "
                f"found {images.dtype} {images.shape}"
            )
        return images_tensor(images)


def spread_rows(dataset: ImageDataset, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return all of the indices, or as many, evenly spread, as MAX_LEARNT_BYTES of pixels allow."""
    step = -(-len(indices) * dataset.images[:1].nbytes // MAX_LEARNT_BYTES)
    return indices[:: max(1, step)]  # spread, since a folder's images are sorted by class


def image_tensor(dataset: ImageDataset, indices: npt.NDArray[np.int64] | None = None) -> Tensor:
    """Return a data set's images as a torch view (N, C, H, W) of where they lie, or a copy of those chosen."""
    return images_tensor(dataset.images if indices is None else dataset.images[indices])


def images_tensor(images: Images) -> Tensor:
    """Return uint8 (N, H, W, C) as a torch view (N, C, H, W); copied only when the array is read-only."""
    return torch.from_numpy(images if images.flags.writeable else images.copy()).permute(0, 3, 1, 2)


def measuring_runtime(runtime: Runtime) -> Runtime:
    """Return the device with fp32 and one CPU thread, so that a number depends neither on precision nor on threads.

    The networks are small: a second thread wins little, and loses much when another process wants its core.
    """
    return replace(runtime, precision="fp32", threads=1)


def feature_net(dataset: ImageDataset, cache_dir: Path, runtime: Runtime, seed: int = 0) -> FeatureNet:
    """Return the data set's feature net, from the cache or else made now and cached.

    It depends on the data's fingerprint (which covers size, channels and split), the seed and the recipe.
    Raises CorruptCheckpoint when the cache does not hold what was written.
    """
    exact = measuring_runtime(runtime)
    identity = {"fingerprint": dataset.fingerprint, "seed": seed}
    record = find_features(cache_dir, identity)
    if record is None:
        record = _make(dataset, exact, seed)
        keep_features(cache_dir, identity, record)
    return _net(record, exact)


def kept_feature_net(fingerprint: str, cache_dir: Path, runtime: Runtime, seed: int = 0) -> FeatureNet | None:
    """Return the feature net of the data set that had this fingerprint, or None when it is not in the cache.

    Raises CorruptCheckpoint as `feature_net` does.
    """
    record = find_features(cache_dir, {"fingerprint": fingerprint, "seed": seed})
    return None if record is None else _net(record, measuring_runtime(runtime))


def _net(record: FeatureRecord, runtime: Runtime) -> FeatureNet:
    return FeatureNet(
        classifier=_restore(record, runtime),
        kind=record.kind,
        digest=record.digest,
        image_size=record.spec.image_size,
        channels=record.spec.channels,
        scale=record.scale,
        accuracy=record.accuracy,
    )


def _make(dataset: ImageDataset, runtime: Runtime, seed: int) -> FeatureRecord:
    kind: Literal["cnn", "rnd"] = "cnn"
    accuracy = None
    if dataset.labels is None or dataset.num_classes < 2:
        kind, classifier = "rnd", _random_network(dataset, runtime, seed)
    else:
        classifier, accuracy = _trained_network(dataset, dataset.labels, runtime, seed)
    network = classifier.network
    assert isinstance(network, ConvEncoder)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    scale = unit_scale(classifier, dataset)
    return FeatureRecord(kind, classifier.digest, network.spec, accuracy, scale, weights)


def unit_scale(classifier: Classifier, dataset: ImageDataset) -> float:
    """Return what makes the features of the training images have a mean square of 1."""
    step = -(-len(dataset.train_indices) // MAX_SCALE_IMAGES)  # spread, since a folder's images are sorted by class
    chosen = dataset.train_indices[::step]
    features_NF = classifier.features(images_tensor(dataset.images[chosen])).double()
    mean_square = float((features_NF**2).mean())
    return mean_square**-0.5 if mean_square > 0 else 1.0


def _trained_network(
    dataset: ImageDataset, labels: npt.NDArray[np.int64], runtime: Runtime, seed: int
) -> tuple[Classifier, float | None]:
    chosen = spread_rows(dataset, dataset.train_indices)
    classifier = train_classifier(
        images_tensor(dataset.images[chosen]), torch.from_numpy(labels[chosen]), dataset.num_classes, seed, runtime
    )
    return classifier, held_out_accuracy(classifier, dataset)


def held_out_accuracy(classifier: Classifier, dataset: ImageDataset) -> float | None:
    """Return the share of the held-out images whose class it tells; None without such images, or without classes."""
    held_out = spread_rows(dataset, dataset.test_indices)
    if dataset.labels is None or len(held_out) == 0:
        return None
    predicted = classifier.predict(images_tensor(dataset.images[held_out])).numpy()
    return float((predicted == dataset.labels[held_out]).mean())


def _random_network(dataset: ImageDataset, runtime: Runtime, seed: int) -> Classifier:
    spec = ConvEncoderSpec(
        image_size=dataset.image_size,
        channels=dataset.channels,
        outputs=2,
        width=RANDOM_WIDTH,
        feature_size=FEATURE_SIZE,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ConvEncoder(spec)
    runtime.place(network)
    return Classifier(network, runtime)


def _restore(record: FeatureRecord, runtime: Runtime) -> Classifier:
    """Rebuild the network even when it was made just now, so that a first run and a cached one are the same."""
    with torch.random.fork_rng(devices=[]):
        network = ConvEncoder(record.spec)
    network.load_state_dict(record.weights)
    runtime.place(network)
    return Classifier(network, runtime)

import pytest
import torch

from imagemodels.classifier import train_classifier
from imagemodels.errors import DataError
from imagemodels.runtime import Runtime
from tests.imagemodels.pictures import digits

RUNTIME = Runtime(threads=1)


def test_it_reads_unseen_digits() -> None:
    images, labels = digits(16)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order[:1437], order[1437:]
    classifier = train_classifier(images[train], labels[train], 10, 0, RUNTIME)
    assert (classifier.predict(images[test]) == labels[test]).double().mean() > 0.97


def test_the_same_seed_gives_the_same_weights_and_64_features() -> None:
    images, labels = digits()
    first, second = (train_classifier(images[:200], labels[:200], 10, 4, RUNTIME, budget=640) for _ in range(2))
    assert first.digest == second.digest
    features = first.features(images[:5])
    assert features.shape == (5, 64)
    assert features.dtype == torch.float32
    assert torch.equal(features, second.features(images[:5]))
    assert first.predict(images[:5]).dtype == torch.int64
    assert train_classifier(images[:200], labels[:200], 10, 5, RUNTIME, budget=640).digest != first.digest


def test_labels_beyond_the_classes_are_refused() -> None:
    images, labels = digits()
    with pytest.raises(DataError, match="between 0 and 4, got 0 to 9"):
        train_classifier(images, labels, 5, 0, RUNTIME)

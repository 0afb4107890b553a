import numpy as np
import pytest
import torch

from imagemodels.classifier import Classifier
from imagemodels.confidence import confidences
from imagemodels.networks.encoder import ConvEncoder
from imagemodels.networks.specs import ConvEncoderSpec
from imagemodels.runtime import Runtime

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)
CLASSES = np.arange(70) % 4


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(1)
    return Classifier(ConvEncoder(ConvEncoderSpec(image_size=8, channels=3, outputs=4, width=4)), Runtime(threads=1))


def test_confidence_is_the_softmax_of_the_class(classifier: Classifier) -> None:
    found, likeliest = confidences(classifier, IMAGES, CLASSES)
    logits = classifier.logits(torch.from_numpy(IMAGES).permute(0, 3, 1, 2)).double().numpy()
    powers = np.exp(logits)
    np.testing.assert_allclose(found, powers[np.arange(70), CLASSES] / powers.sum(1), rtol=1e-4)
    assert np.array_equal(likeliest, logits.argmax(1) == CLASSES)


def test_without_classes_it_is_that_of_the_likeliest(classifier: Classifier) -> None:
    found, likeliest = confidences(classifier, IMAGES, None)
    each = [confidences(classifier, IMAGES, np.full(70, number))[0] for number in range(4)]
    assert np.array_equal(found, np.max(each, axis=0))
    assert likeliest.all()


def test_it_does_not_depend_on_the_images_beside(classifier: Classifier) -> None:
    whole, _ = confidences(classifier, IMAGES, CLASSES)
    shuffled = np.random.default_rng(1).permutation(70)
    for rows in (shuffled, np.arange(3, 4), np.arange(60, 70)):
        assert np.array_equal(confidences(classifier, IMAGES[rows], CLASSES[rows])[0], whole[rows])

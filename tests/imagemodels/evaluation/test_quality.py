import numpy as np
import numpy.typing as npt
import pytest

from imagemodels.errors import DataError
from imagemodels.evaluation import quality_metric
from tests.imagemodels.evaluation.conftest import Study


class Album:
    """A generator of ready images: image i of the series is the i-th, whatever the seed."""

    def __init__(self, images: npt.NDArray[np.uint8]) -> None:
        self.images = images

    def sample(
        self, seed: int, indices: npt.NDArray[np.int64], labels: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.uint8]:
        assert seed >= 0
        assert labels is None
        return self.images[indices]


def test_better_images_have_a_lower_value(study: Study) -> None:
    quality = quality_metric(study.dataset, study.net, count=500)
    perfect = quality(Album(study.fresh_images))
    noisy = np.random.default_rng(0).normal(0, 60, study.fresh_images.shape) + study.fresh_images
    poor = quality(Album(np.clip(noisy, 0, 255).astype(np.uint8)))
    worst = quality(Album(np.random.default_rng(0).integers(0, 256, study.fresh_images.shape, dtype=np.uint8)))
    assert abs(perfect) < poor < worst
    assert perfect < 0.05 * worst


def test_a_generator_that_shows_one_class_alone_is_worse(study: Study) -> None:
    quality = quality_metric(study.dataset, study.net, count=60)
    ones = study.fresh_images[study.fresh_labels == 1][:60]
    assert quality(Album(ones)) > 5 * abs(quality(Album(study.fresh_images[:60])))


def test_the_value_is_the_same_each_time(study: Study) -> None:
    quality = quality_metric(study.dataset, study.net, count=100)
    assert quality(Album(study.fresh_images)) == quality(Album(study.fresh_images))


def test_a_count_of_one_is_refused(study: Study) -> None:
    with pytest.raises(DataError, match="at least two images; 1 were asked for"):
        quality_metric(study.dataset, study.net, count=1)

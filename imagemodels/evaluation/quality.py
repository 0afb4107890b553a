"""One quick number that says, while a model trains, whether it gets better."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from imagemodels.data.dataset import ImageDataset
from imagemodels.errors import DataError
from imagemodels.evaluation.distances import unbiased_discrepancy
from imagemodels.evaluation.features import FeatureNet

MAX_REFERENCE_IMAGES = 2000


class Sampler(Protocol):
    """What the metric needs of a generator."""

    def sample(
        self, seed: int, indices: npt.NDArray[np.int64], labels: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Return images uint8 (N, H, W, C), one for each index."""


def quality_metric(
    dataset: ImageDataset, feature_net: FeatureNet, count: int = 1000, seed: int = 0
) -> Callable[[Sampler], float]:
    """Return a function that samples so many images and gives their kernel distance to real training images.

    Lower is better, and a value near 0, even slightly below it, is as good as real. The kernel distance is unbiased
    at any count, which a Fréchet distance is not. Real features are computed here, once. The same images, by seed and
    index, are asked for at each call, so that two calls differ by the model alone.

    Raises DataError for fewer than two images on either side.
    """
    if count < 2:
        raise DataError(f"a quality metric needs at least two images; {count} were asked for")
    chosen = np.random.default_rng([seed, 2]).permutation(dataset.train_indices)[:MAX_REFERENCE_IMAGES]
    if len(chosen) < 2:
        raise DataError(f"data set {dataset.name} has {len(chosen)} training images; a quality metric needs two")
    real_NF = feature_net.features(dataset.images[chosen]).astype(np.float64)
    indices = np.arange(count, dtype=np.int64)

    def kernel_distance_of(generator: Sampler) -> float:
        generated_MF = feature_net.features(generator.sample(seed, indices)).astype(np.float64)
        return unbiased_discrepancy(generated_MF, real_NF)

    return kernel_distance_of

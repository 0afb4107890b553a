from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from imagemodels.data import ImageDataset, dataset_from_arrays, load_dataset
from imagemodels.evaluation import EvaluationReport, FeatureNet, evaluate, feature_net
from imagemodels.runtime import Runtime


@dataclass(frozen=True)
class Study:
    """Real digits parted in two: a data set, and fresh ones that stand for the images of a perfect generator."""

    dataset: ImageDataset
    fresh_images: npt.NDArray[np.uint8]
    fresh_labels: npt.NDArray[np.int64]
    net: FeatureNet
    cache: Path
    runtime: Runtime

    def evaluate(
        self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64] | None = None, usefulness: bool = False
    ) -> EvaluationReport:
        return evaluate(
            self.dataset, images, labels, feature_net=self.net, runtime=self.runtime, seed=3, usefulness=usefulness
        )


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    digits = load_dataset("digits", image_size=12)
    assert digits.labels is not None
    order = np.random.default_rng(0).permutation(len(digits))
    known, fresh = order[:1000], order[1000:]
    dataset = dataset_from_arrays("half the digits", digits.images[known], digits.labels[known], digits.class_names)
    runtime = Runtime(threads=1)
    cache = tmp_path_factory.mktemp("features")
    net = feature_net(dataset, cache, runtime)
    return Study(dataset, digits.images[fresh], digits.labels[fresh], net, cache, runtime)


@pytest.fixture(scope="session")
def perfect(study: Study) -> EvaluationReport:
    return study.evaluate(study.fresh_images, study.fresh_labels, usefulness=True)

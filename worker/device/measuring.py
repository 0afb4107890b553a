"""What all jobs that measure generated images need: the judge, and the images' classes as the data know them."""

import logging

import numpy as np
import numpy.typing as npt

from imagemodels.data import ImageDataset
from imagemodels.evaluation.features import FeatureNet, feature_net
from imagemodels.evaluation.judge import judging_net, load_judge
from imagemodels.runtime import Runtime
from pixmill.errors import UserError
from worker.assignment import ModelInput
from worker.device.desk import Desk

log = logging.getLogger("job")

Labels = npt.NDArray[np.int64]


def chosen_feature_net(desk: Desk, data: ImageDataset, runtime: Runtime) -> FeatureNet:
    """The judge that was asked for, or else the data set's own feature net.  Raises as `judging_net` does."""
    desk.measuring("preparing the feature net", 0.0)
    chosen = desk.assignment.judge
    if chosen is None:
        return feature_net(data, desk.layout.features, runtime)
    judge = load_judge(desk.layout.resolve(chosen.folder), chosen.reference, chosen.digest, runtime)
    net = judging_net(judge, data)
    log.info("judged by %s, digest %s", chosen.reference, net.digest)
    return net


def matching_labels(data: ImageDataset, model: ModelInput, labels: Labels | None) -> Labels | None:
    """The labels as numbers of the real data's classes; a class that the real data do not have is an error."""
    if labels is None or data.labels is None:
        return None
    unknown = [name for name in model.classes if name not in data.class_names]
    if unknown:
        raise UserError(
            f"the images have class {unknown[0]!r}, data set {data.name} has not",
            hint="evaluate against the data set that the model was trained on",
        )
    numbers = np.asarray([data.class_names.index(name) for name in model.classes], dtype=np.int64)
    found: Labels = numbers[labels]
    return found


def other_data_warning(fingerprint: str, model: ModelInput) -> str | None:
    """What is to be said of a model that has learnt from other data than those with this fingerprint."""
    if fingerprint == model.dataset_fingerprint:
        return None
    warning = f"the model was trained on other data than it is judged by (fingerprint {model.dataset_fingerprint[:12]})"
    log.warning(warning)
    return warning

"""How a trained classifier does on the images that were held out, class by class."""

import logging
from dataclasses import asdict
from typing import Any

import numpy as np

from imagemodels.classifier import Classifier
from imagemodels.data import ImageDataset
from imagemodels.evaluation.features import image_tensor, spread_rows
from imagemodels.evaluation.figures import accuracy_metric
from imagemodels.evaluation.usefulness import class_accuracy, confusion_matrix
from worker.device.desk import Desk

log = logging.getLogger("job")

HELD_OUT_FILE = "held-out.json"


def judge_held_out(desk: Desk, model: Classifier, data: ImageDataset) -> dict[str, Any]:
    """Write which held-out image was taken for which class; gives where, and the accuracy; nothing without such images.

    The path is relative to the storage root.
    """
    if data.labels is None or len(data.test_indices) == 0:
        return {}
    chosen = spread_rows(data, data.test_indices)  # those by which the training was measured
    predicted = model.predict(image_tensor(data, chosen)).numpy()
    confusion = confusion_matrix(data.labels[chosen], predicted, data.num_classes)
    for name, accuracy in zip(data.class_names, class_accuracy(confusion), strict=True):
        log.info("held-out accuracy of class %s: %s", name, "no images" if np.isnan(accuracy) else f"{accuracy:.4f}")
    document = {"version": 1, "classes": list(data.class_names), "confusion": confusion.tolist()}
    path = desk.layout.relative(desk.write_json(HELD_OUT_FILE, document))
    return {"held_out": path, "measured": {"images": len(chosen), "metrics": [asdict(accuracy_metric(confusion))]}}

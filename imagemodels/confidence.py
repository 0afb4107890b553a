"""How sure a classifier is of the class of images, whatever images it looks at beside them."""

import numpy as np
import torch
from numpy.typing import NDArray

from imagemodels.batched import full_batch
from imagemodels.classifier import Classifier

CPU_BATCH = 64  # images
CUDA_BATCH = 256


def confidences(
    classifier: Classifier, images: NDArray[np.uint8], classes: NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return how probable the ``classes`` (N,) of uint8 images (N, H, W, C) are, (N,), and whether none is more so.

    Without ``classes``, of a model that knows none, it is the probability of the most likely one. Images pass in
    batches of one size, the last one padded, because the size of a batch changes the last bits of a convolution.
    """
    rows = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    size = full_batch(classifier.runtime, None, cpu=CPU_BATCH, cuda=CUDA_BATCH)
    parts = [_logits(classifier, rows[start : start + size], size) for start in range(0, len(rows), size)]
    logits_NK = torch.cat(parts).double() if parts else torch.empty(0, 1, dtype=torch.float64)
    probabilities_NK = logits_NK.softmax(1).numpy()
    likeliest = probabilities_NK.argmax(1)
    chosen = likeliest if classes is None else classes
    return np.take_along_axis(probabilities_NK, chosen[:, None], 1)[:, 0], likeliest == chosen


def _logits(classifier: Classifier, images: torch.Tensor, size: int) -> torch.Tensor:
    padded = torch.zeros(size, *images.shape[1:], dtype=images.dtype)
    padded[: len(images)] = images
    return classifier.logits(padded)[: len(images)]

"""Small real pictures for the tests of the models."""

from functools import cache

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor


@cache
def digits(image_size: int = 8) -> tuple[Tensor, Tensor]:
    """The real handwritten digits of scikit-learn: uint8 (1797, 1, S, S) and labels int64 (1797,)."""
    source = load_digits()
    grays = (source.images * 255 / 16).astype(np.uint8)
    resized = [np.asarray(Image.fromarray(gray).resize((image_size, image_size))) for gray in grays]
    return torch.from_numpy(np.stack(resized))[:, None], torch.from_numpy(source.target.astype(np.int64))


def coloured(pictures: Tensor) -> Tensor:
    """Gray pictures (N, 1, S, S) as (N, 3, S, S) in three different tones."""
    return torch.cat((pictures, pictures // 2, 255 - pictures), dim=1)

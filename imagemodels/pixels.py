"""The one normaliser between stored pixels (uint8, 0 to 255) and what networks see (float, -1 to 1)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imagemodels.places import each_with_rows

NORMALISER = "x / 127.5 - 1"  # written into every exported model
HALF_RANGE = 127.5


def to_float(images: Tensor) -> Tensor:
    """Return uint8 images (N, C, H, W) as float32 in [-1, 1], in channels_last memory."""
    floats = images.to(torch.float32, memory_format=torch.channels_last)
    return floats.div_(HALF_RANGE).sub_(1.0)


def frames_to_float(frames: Tensor) -> Tensor:
    """Return uint8 frames (N, T, H, W, C) as float32 (N, T, C, H, W) in [-1, 1]."""
    images = to_float(frames.flatten(0, 1).permute(0, 3, 1, 2))
    return images.reshape(*frames.shape[:2], *images.shape[1:])


def to_uint8(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as uint8: ``(x + 1) · 127.5`` rounded half to even, then clamped to 0..255.

    The arithmetic is fp32 whatever the input type. The inverse of ``to_float`` on all 256 levels.
    """
    scaled = images.float().add(1.0).mul_(HALF_RANGE)
    return scaled.round_().clamp_(0, 255).to(torch.uint8)


def copy_into(places: Sequence[NDArray[np.uint8]], images: NDArray[np.uint8]) -> None:
    """Copy images (N, H, W, C) into arrays (N₁, H, W, C), (N₂, H, W, C), … of N images in all, in this order."""
    for place, rows in each_with_rows(places):
        place[...] = images[rows]

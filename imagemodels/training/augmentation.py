"""Differentiable augmentation for adversarial training on few images (DiffAugment, Zhao et al., arXiv 2006.10738)."""

import torch
from torch import Tensor
from torch.nn import functional

BACKGROUND = -1.0  # black: what lies outside of a shifted image


def translated(images: Tensor, uniforms: Tensor, share: float) -> Tensor:
    """Return each image (N, C, S, S) shifted by up to ``share`` of its side, gaps filled with black.

    ``uniforms`` (N, 2) in [0, 1) decide over the shifts in rows and columns. Gradients pass to ``images``.
    """
    side = images.shape[-1]
    reach = max(1, round(side * share))
    offsets = (uniforms * (2 * reach + 1)).long()  # 0 .. 2·reach, where reach means no shift
    padded = functional.pad(images, (reach, reach, reach, reach), value=BACKGROUND).permute(0, 2, 3, 1)
    positions = torch.arange(side, device=images.device)
    rows = (offsets[:, 0, None] + positions)[:, :, None]
    columns = (offsets[:, 1, None] + positions)[:, None, :]
    which = torch.arange(len(images), device=images.device)[:, None, None]
    return padded[which, rows, columns].permute(0, 3, 1, 2)

"""Differentiable augmentation for adversarial training on few images (DiffAugment, Zhao et al., arXiv 2006.10738)."""

import torch
from torch import Tensor
from torch.nn import functional

BACKGROUND = -1.0  # black: what lies outside of a shifted image
HOLE = 0.0  # mid-gray: what is cut out


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


def recoloured(images: Tensor, uniforms: Tensor) -> Tensor:
    """Return each image (N, C, S, S) with another brightness, saturation and contrast.

    ``uniforms`` (N, 3) in [0, 1): brightness moves by up to 0.5 either way, saturation is multiplied by 0 to 2, and
    contrast by 0.5 to 1.5. Gradients pass to ``images``.
    """
    brightness, saturation, contrast = (uniforms[:, i, None, None, None] for i in range(3))
    images = images + (brightness - 0.5)
    gray = images.mean(1, keepdim=True)
    images = gray + (images - gray) * (2 * saturation)
    middle = images.mean((1, 2, 3), keepdim=True)
    return middle + (images - middle) * (contrast + 0.5)


def cut_out(images: Tensor, uniforms: Tensor, share: float) -> Tensor:
    """Return each image (N, C, S, S) with a gray square of ``share`` of its side, of which a part may lie outside.

    ``uniforms`` (N, 2) in [0, 1) decide over the row and the column of its middle. Gradients pass to what is left.
    """
    side = images.shape[-1]
    hole = max(1, round(side * share))
    starts = (uniforms * (side + 1 - hole % 2)).long() - hole // 2
    positions = torch.arange(side, device=images.device)
    inside = (positions >= starts[:, :, None]) & (positions < starts[:, :, None] + hole)  # (N, 2, S)
    square_N1SS = (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]
    return images.masked_fill(square_N1SS, HOLE)

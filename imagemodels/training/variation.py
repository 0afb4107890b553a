"""What is done to the training images before any network sees them: flips, crops, colours.

A model learns to make such changed images too, other than with DiffAugment, which only the discriminator sees. Each
change is drawn anew for each image in each step.

Shapes: N images, C channels, S side in pixels.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from imagemodels.options import ImageOptions
from imagemodels.pixels import to_float
from imagemodels.training.augmentation import recoloured

Draw = Callable[[int, str], Tensor]  # how many numbers for each image, for what: uniform in [0, 1), (N, numbers)


def varied(pixels: Tensor, options: ImageOptions, draw: Draw) -> Tensor:
    """Return uint8 ``pixels`` (N, C, S, S) as floats in [-1, 1], changed as the options say."""
    if options.horizontal_flips:
        pixels = flipped(pixels, draw(1, "flips"), 3)
    if options.vertical_flips:
        pixels = flipped(pixels, draw(1, "vertical flips"), 2)
    images = to_float(pixels)
    if options.crop:
        images = cropped(images, draw(3, "crops"), options.crop)
    if options.colour_jitter:
        images = jittered(images, draw(3, "colours"), options.colour_jitter)
    return images


def flipped(images: Tensor, uniforms: Tensor, dimension: int) -> Tensor:
    """Return the images (N, C, S, S), about half of them, by ``uniforms`` (N, 1), mirrored along a dimension."""
    mirrored_N111 = (uniforms < 0.5)[:, :, None, None]
    return torch.where(mirrored_N111, images.flip(dimension), images)


def cropped(images: Tensor, uniforms: Tensor, share: float) -> Tensor:
    """Return a square of each image (N, C, S, S), at least 1 - ``share`` of its side long, enlarged to S pixels.

    ``uniforms`` (N, 3) decide over the length, the row and the column. Between pixels it is linear, whose gradient by
    the images would not be deterministic on CUDA; these need none.
    """
    side = images.shape[-1]
    length_N1 = 1.0 - share * uniforms[:, :1]
    middles_N2 = (2.0 * uniforms[:, 1:] - 1.0) * (1.0 - length_N1)  # in [-1, 1] across the image
    centres_S = (2.0 * torch.arange(side, device=images.device) + 1.0) / side - 1.0  # of the pixels
    places_N2S = middles_N2[:, :, None] + length_N1[:, :, None] * centres_S
    rows, columns = places_N2S[:, 0, :, None].expand(-1, -1, side), places_N2S[:, 1, None].expand(-1, side, -1)
    grid_NSS2 = torch.stack((columns, rows), dim=3)
    found = functional.grid_sample(images, grid_NSS2, mode="bilinear", padding_mode="border", align_corners=False)
    return found.contiguous(memory_format=torch.channels_last)


def jittered(images: Tensor, uniforms: Tensor, strength: float) -> Tensor:
    """Return each image (N, C, S, S) with other colours, by ``uniforms`` (N, 3), clipped to [-1, 1].

    With the full strength of 1 the brightness moves by up to half a unit, saturation is multiplied by 0 to 2, and
    contrast by a half to one and a half; with less, by that share of the way.
    """
    return recoloured(images, 0.5 + strength * (uniforms - 0.5)).clamp(-1.0, 1.0)

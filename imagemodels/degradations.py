"""Damages by name, as pure functions of images and random numbers: what restoration is trained on.

Each takes whole images in [-1, 1] and gives them as a file would hold them: rounded to the 256 levels of a pixel. The
random numbers are those of the caller, for training a function of seed and step, for measuring of seed and number.

Shapes: N images, C channels, H and W pixels, K holes of an image, L segments of a stroke.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from imagemodels.jpeg import jpeg_artefacts
from imagemodels.networks.restoration_specs import DegradationSpec
from imagemodels.pixels import to_float, to_uint8
from imagemodels.random import normal_rows, uniform_rows

FILLED = 0.0  # mid-gray: what stands in a hole
SMALLEST_HOLE = 0.5  # of the largest
SEGMENTS = 4  # of a stroke
BRUSH = 0.1  # radius of a stroke, in units of its longest length
SMALLEST_RADIUS = 0.75  # pixels: a stroke has no gaps

Draw = Callable[[int, str], Tensor]  # how many numbers for each image, for what: (N, numbers)


@dataclass(frozen=True)
class Draws:
    """Where the random numbers of a damage come from: standard normal ones, and uniform ones in [0, 1)."""

    normals: Draw
    uniforms: Draw


@dataclass(frozen=True)
class Damaged:
    """Images (N, C, H, W) in [-1, 1], and where pixels are missing: (N, 1, H, W), true there; None: nowhere."""

    images: Tensor
    holes: Tensor | None = None


def degraded(images: Tensor, spec: DegradationSpec, draws: Draws) -> Damaged:
    """Return the images (N, C, H, W) in [-1, 1] damaged as ``spec`` says.

    Raises KeyError for the damage that comes with a data set.
    """
    damaged = DEGRADATIONS[spec.name](images, spec, draws)
    return Damaged(to_float(to_uint8(damaged.images)), damaged.holes)


def numbered_draws(seed: int, indices: NDArray[np.int64], device: torch.device) -> Draws:
    """Return random numbers, row i a function of ``seed`` and ``indices[i]`` alone."""
    return Draws(
        normals=lambda size, purpose: torch.from_numpy(normal_rows(seed, indices, purpose, size)).to(device),
        uniforms=lambda size, purpose: torch.from_numpy(uniform_rows(seed, indices, purpose, size)).float().to(device),
    )


def noisy(images: Tensor, spec: DegradationSpec, draws: Draws) -> Damaged:
    """Add Gaussian noise; the range of a pixel is 2 here."""
    normals = draws.normals(images[0].numel(), "noise").reshape(images.shape)
    return Damaged(images + 2.0 * spec.noise_sigma * normals)


def masked(images: Tensor, spec: DegradationSpec, draws: Draws) -> Damaged:
    """Leave holes, filled with gray."""
    make = boxes if spec.hole_shape == "boxes" else strokes
    holes = make(_sides(images), spec, draws)
    return Damaged(images.masked_fill(holes, FILLED), holes)


def boxes(shape: tuple[int, int], spec: DegradationSpec, draws: Draws) -> Tensor:
    """Return (N, 1, H, W), true in ``hole_count`` rectangles that lie wholly in the image.

    Their sides are half to all of ``hole_share`` of the image's.
    """
    uniforms_NK4 = draws.uniforms(4 * spec.hole_count, "boxes").view(-1, spec.hole_count, 4)
    sides = torch.tensor(shape, device=uniforms_NK4.device)
    share_NK2 = spec.hole_share * (SMALLEST_HOLE + (1.0 - SMALLEST_HOLE) * uniforms_NK4[..., :2])
    lengths_NK2 = (share_NK2 * sides).round().clamp_min(1).long()
    starts_NK2 = (uniforms_NK4[..., 2:] * (sides - lengths_NK2 + 1)).long()
    inside = [
        (places >= starts_NK2[..., axis, None]) & (places < (starts_NK2 + lengths_NK2)[..., axis, None])
        for axis, places in enumerate(torch.arange(side, device=sides.device) for side in shape)
    ]
    holes: Tensor = inside[0][..., :, None] & inside[1][..., None, :]
    return holes.any(1, keepdim=True)


def strokes(shape: tuple[int, int], spec: DegradationSpec, draws: Draws) -> Tensor:
    """Return (N, 1, H, W), true in ``hole_count`` strokes of a round brush.

    Each wanders in four segments whose lengths add up to half to all of ``hole_share`` of the image's larger side,
    turning by up to a right angle between two.
    """
    numbers = 3 + 2 * SEGMENTS
    uniforms = draws.uniforms(numbers * spec.hole_count, "strokes").view(-1, spec.hole_count, numbers)
    longest = spec.hole_share * max(shape)
    lengths_NKL = longest / SEGMENTS * (SMALLEST_HOLE + (1 - SMALLEST_HOLE) * uniforms[..., 3 : 3 + SEGMENTS])
    turns_NKL = math.pi * (uniforms[..., 3 + SEGMENTS :] - 0.5)
    angle_NK = 2 * math.pi * uniforms[..., 2]
    corner_NK2 = uniforms[..., :2] * torch.tensor(shape, device=uniforms.device)
    radius = max(SMALLEST_RADIUS, BRUSH * longest)
    holes = torch.zeros((len(uniforms), *shape), dtype=torch.bool, device=uniforms.device)
    # Step by step: a sum along a dimension that keeps its parts is not deterministic on CUDA.
    for segment in range(SEGMENTS):
        angle_NK = angle_NK + turns_NKL[..., segment]
        way_NK2 = torch.stack((angle_NK.sin(), angle_NK.cos()), dim=-1) * lengths_NKL[..., segment, None]
        for hole in range(spec.hole_count):
            holes |= _distances(shape, corner_NK2[:, hole], way_NK2[:, hole]) <= radius
        corner_NK2 = corner_NK2 + way_NK2
    return holes[:, None]


def _distances(shape: tuple[int, int], start_N2: Tensor, way_N2: Tensor) -> Tensor:
    """How far (N, H, W) the middle of each pixel is from a segment of each image: its start, and the way to its end."""
    rows, columns = (torch.arange(side, device=start_N2.device) + 0.5 for side in shape)
    squared_N = way_N2.square().sum(1).clamp_min(1e-12)
    from_row_NH1 = (rows[None] - start_N2[:, :1])[:, :, None]
    from_column_N1W = (columns[None] - start_N2[:, 1:])[:, None, :]
    along_NHW = from_row_NH1 * way_N2[:, 0, None, None] + from_column_N1W * way_N2[:, 1, None, None]
    share_NHW = (along_NHW / squared_N[:, None, None]).clamp(0.0, 1.0)
    off_rows = from_row_NH1 - share_NHW * way_N2[:, 0, None, None]
    off_columns = from_column_N1W - share_NHW * way_N2[:, 1, None, None]
    return (off_rows.square() + off_columns.square()).sqrt()


def downsampled(images: Tensor, spec: DegradationSpec, draws: Draws) -> Damaged:  # noqa: ARG001  nothing is drawn
    """Average squares of ``downsample_factor`` pixels a side, and bring what is left back to the size."""
    height, width = _sides(images)
    small_shape = -(-height // spec.downsample_factor), -(-width // spec.downsample_factor)
    small = functional.adaptive_avg_pool2d(images, small_shape)
    return Damaged(resized(to_float(to_uint8(small)), (height, width)))


def _sides(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def resized(images: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the images (N, C, h, w) in [-1, 1] at another size, by bicubic interpolation."""
    return functional.interpolate(images, size=shape, mode="bicubic", align_corners=False).clamp(-1.0, 1.0)


def enlarged(images: NDArray[np.uint8], spec: DegradationSpec) -> NDArray[np.uint8]:
    """Return images (N, H, W, C), uint8, at the size that they have when restored: larger where resolution was lost."""
    if spec.enlarges == 1:
        return images
    shape = images.shape[1] * spec.enlarges, images.shape[2] * spec.enlarges
    pixels = to_uint8(resized(to_float(torch.from_numpy(images).permute(0, 3, 1, 2)), shape))
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())


def blurred(images: Tensor, spec: DegradationSpec, draws: Draws) -> Damaged:  # noqa: ARG001  nothing is drawn
    """Average the surroundings of each pixel with a Gaussian of ``blur_sigma`` pixels; borders go on as they end."""
    reach = math.ceil(3 * spec.blur_sigma)
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-places.square() / (2 * spec.blur_sigma**2))
    weights = weights / weights.sum()
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate").flatten(0, 1)[:, None]
    columns = functional.conv2d(padded, weights.view(1, 1, -1, 1))
    return Damaged(functional.conv2d(columns, weights.view(1, 1, 1, -1)).reshape(images.shape))


def jpeg_coded(images: Tensor, spec: DegradationSpec, draws: Draws) -> Damaged:  # noqa: ARG001  nothing is drawn
    """Lose what JPEG loses at ``jpeg_quality``."""
    return Damaged(jpeg_artefacts(images, spec.jpeg_quality))


DEGRADATIONS: Mapping[str, Callable[[Tensor, DegradationSpec, Draws], Damaged]] = {
    "noise": noisy,
    "mask": masked,
    "downsample": downsampled,
    "blur": blurred,
    "jpeg": jpeg_coded,
}

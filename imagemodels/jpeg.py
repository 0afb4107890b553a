"""What JPEG takes from an image: the frequencies of blocks of 8 × 8 pixels, rounded to multiples of a table.

ITU-T T.81 (1992): the cosine transform of A.3.3, the tables of annex K.1 scaled by quality as the Independent JPEG
Group's library does, the colours of JFIF. Colours keep their resolution (4:4:4). Entropy coding loses nothing, and is
left out.

Shapes: N images, C channels, H and W pixels.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from imagemodels.pixels import HALF_RANGE

SIDE = 8  # pixels of a block
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, *(99,) * 32,
)  # fmt: skip
TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))


def jpeg_artefacts(images: Tensor, quality: int) -> Tensor:
    """Return images (N, C, H, W) in [-1, 1] as JPEG of this quality, 1 to 100, gives them back; C is 1 or 3."""
    levels = images * HALF_RANGE + (HALF_RANGE - 128.0)  # -128 to 127
    if images.shape[1] == 1:
        return _pixels(_coded(levels, LUMINANCE, quality))
    matrix = torch.tensor(TO_YCBCR, dtype=torch.float64)
    forth, back = (part.to(images) for part in (matrix, torch.linalg.inv(matrix)))
    luma_chroma = torch.einsum("ij,njhw->nihw", forth, levels).round()
    parts = _coded(luma_chroma[:, :1], LUMINANCE, quality), _coded(luma_chroma[:, 1:], CHROMINANCE, quality)
    return _pixels(torch.einsum("ij,njhw->nihw", back, torch.cat(parts, dim=1)))


def quantisation(table: tuple[int, ...], quality: int) -> Tensor:
    """Return the steps (8, 8), float32, by which frequencies are rounded."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = [min(255, max(1, (entry * scale + 50) // 100)) for entry in table]
    return torch.tensor(steps, dtype=torch.float32).view(SIDE, SIDE)


def cosines() -> Tensor:
    """Return the orthonormal cosine transform (8, 8), float32: row k is frequency k."""
    places = torch.arange(SIDE, dtype=torch.float64)
    matrix = torch.cos(math.pi * places[:, None] * (2 * places[None] + 1) / (2 * SIDE)) * math.sqrt(2 / SIDE)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def _coded(levels: Tensor, table: tuple[int, ...], quality: int) -> Tensor:
    height, width = levels.shape[-2:]
    padded = functional.pad(levels, (0, -width % SIDE, 0, -height % SIDE), mode="replicate")
    rows, columns = padded.shape[2] // SIDE, padded.shape[3] // SIDE
    blocks = padded.reshape(*padded.shape[:2], rows, SIDE, columns, SIDE).transpose(3, 4)
    matrix, steps = cosines().to(levels.device), quantisation(table, quality).to(levels.device)
    rounded = (matrix @ blocks @ matrix.t() / steps).round() * steps
    decoded: Tensor = matrix.t() @ rounded @ matrix
    return decoded.transpose(3, 4).reshape(padded.shape)[:, :, :height, :width]


def _pixels(levels: Tensor) -> Tensor:
    return ((levels + 128.0) / HALF_RANGE - 1.0).clamp(-1.0, 1.0)

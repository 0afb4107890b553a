"""How near an image is to the one that it stands for: PSNR and SSIM, one number an image.

Shapes: N images, C channels, H and W pixels. The range of a pixel is 0 to 255.
"""

import torch
from torch import Tensor
from torch.nn import functional

from imagemodels.errors import DataError

PEAK = 255.0
WINDOW = 11  # pixels
DEVIATION = 1.5  # pixels, of the window's Gaussian
LUMINANCE_CONSTANT = (0.01 * PEAK) ** 2
CONTRAST_CONSTANT = (0.03 * PEAK) ** 2
CHUNK = 64  # images in memory at a time as float64
HIGHEST_PSNR = 100.0  # dB; an image without an error counts as much in a mean


def psnr(images: Tensor, references: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio (N,) in dB, float64, between uint8 (N, C, H, W); equal images: infinity.

    10 log10(255² / mean squared error), the mean over all pixels and channels of an image. Raises DataError for other
    shapes or types.
    """
    _check(images, references)
    parts = zip(torch.split(images, CHUNK), torch.split(references, CHUNK), strict=True)
    errors = [(one.double() - other.double()).square().mean((1, 2, 3)) for one, other in parts]
    return 10.0 * torch.log10(PEAK**2 / torch.cat(errors))


def mean_ratio(ratios: Tensor) -> float:
    """Return the mean of PSNRs (N,) in dB, in which none counts more than HIGHEST_PSNR."""
    return float(ratios.clamp_max(HIGHEST_PSNR).mean())


def ssim(images: Tensor, references: Tensor) -> Tensor:
    """Return the structural similarity (N,), float64, between uint8 (N, C, H, W): 1 for equal images.

    Wang et al. 2004 (IEEE TIP 13(4), equation 13): Gaussian windows of 11 pixels and deviation 1.5 that lie wholly in
    the image, K1 = 0.01, K2 = 0.03, moments of the population; the mean over places and channels. Of an image that is
    smaller than the window, the largest odd window that fits is taken. Raises DataError for other shapes or types.
    """
    _check(images, references)
    window = gaussian_window(min(WINDOW, _odd(min(images.shape[2:])))).to(images.device)
    parts = zip(torch.split(images, CHUNK), torch.split(references, CHUNK), strict=True)
    return torch.cat([_similarity(one.double(), other.double(), window).mean((1, 2, 3)) for one, other in parts])


def gaussian_window(size: int) -> Tensor:
    """Return the weights (size,), float64, of a Gaussian window along one side; their sum is 1."""
    places = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    weights = torch.exp(-places.square() / (2 * DEVIATION**2))
    return weights / weights.sum()


def _similarity(one: Tensor, other: Tensor, window: Tensor) -> Tensor:
    """The similarity (N, C, H', W') of each place."""
    mean_one, mean_other = _averaged(one, window), _averaged(other, window)
    variance_one = _averaged(one.square(), window) - mean_one.square()
    variance_other = _averaged(other.square(), window) - mean_other.square()
    covariance = _averaged(one * other, window) - mean_one * mean_other
    luminance = (2 * mean_one * mean_other + LUMINANCE_CONSTANT) / (
        mean_one.square() + mean_other.square() + LUMINANCE_CONSTANT
    )
    return luminance * (2 * covariance + CONTRAST_CONSTANT) / (variance_one + variance_other + CONTRAST_CONSTANT)


def _averaged(maps: Tensor, window: Tensor) -> Tensor:
    """Weigh the surroundings of each place: first along the columns, then along the rows."""
    flat = maps.flatten(0, 1).unsqueeze(1)
    rows = functional.conv2d(functional.conv2d(flat, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
    return rows.view(*maps.shape[:2], *rows.shape[2:])


def _odd(size: int) -> int:
    return size - 1 + size % 2


def _check(images: Tensor, references: Tensor) -> None:
    for name, batch in (("images", images), ("references", references)):
        if batch.dtype is not torch.uint8 or batch.ndim != 4 or 0 in batch.shape:
            raise DataError(f"{name} are uint8 (N, C, H, W); found {batch.dtype} {tuple(batch.shape)}")
    if images.shape != references.shape:
        raise DataError(f"images {tuple(images.shape)} and references {tuple(references.shape)} have different shapes")

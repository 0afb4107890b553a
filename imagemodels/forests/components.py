"""Principal components of images, found piece by piece: all images as floats at once need not fit into the memory.

Shapes: N images, D values of an image, P components, R directions that are searched.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from imagemodels.pixels import HALF_RANGE

OVERSAMPLING = 10  # directions beyond those that are wanted
PASSES = 6  # over the images, in search of the directions
FLAT = 1e-6  # of the largest variance: below it, there is rounding alone
INVISIBLE = 1e-8  # variance of a direction along which no pixel moves


@dataclass(frozen=True, slots=True)
class Components:
    """The mean image (D,) in [-1, 1], and axes (P, D), orthogonal, each as long as one standard deviation.

    Where the images have fewer directions than P, the last axes are zero.
    """

    mean: Tensor
    axes: Tensor

    def scores(self, pixels: Tensor, batch_size: int) -> Tensor:
        """Return the coordinates (N, P), float32, of uint8 images (N, D): uncorrelated, of mean 0 and variance 1."""
        lengths_P = self.axes.square().sum(1)
        towards_DP = (self.axes / lengths_P.clamp_min(1e-20)[:, None]).t()
        return torch.cat([piece @ towards_DP for piece in _centred(pixels, self.mean, batch_size)])


def find_components(pixels: Tensor, count: int, seed: int, batch_size: int) -> Components:
    """Return the ``count`` leading components of uint8 images (N, D).

    Subspace iteration from random directions (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4), then the
    exact components within the subspace, so that the scores are uncorrelated however far the search has come.
    """
    size = pixels.shape[1]
    mean_D = _mean(pixels, batch_size)
    random = torch.Generator().manual_seed(seed)
    basis_DR = _orthonormal(torch.randn(size, min(size, count + OVERSAMPLING), generator=random))
    for _ in range(PASSES):
        images_DR = torch.zeros_like(basis_DR)
        for piece in _centred(pixels, mean_D, batch_size):
            images_DR += piece.t() @ (piece @ basis_DR)
        basis_DR = _orthonormal(images_DR)
    return Components(mean_D, _axes(pixels, mean_D, basis_DR, count, batch_size))


def _axes(pixels: Tensor, mean_D: Tensor, basis_DR: Tensor, count: int, batch_size: int) -> Tensor:
    covariance_RR = torch.zeros(basis_DR.shape[1], basis_DR.shape[1], dtype=torch.float64)
    for piece in _centred(pixels, mean_D, batch_size):
        within = (piece @ basis_DR).double()
        covariance_RR += within.t() @ within
    variances, rotation = torch.linalg.eigh(covariance_RR / max(1, len(pixels) - 1))
    variances, rotation = variances.flip(0)[:count], rotation.flip(1)[:, :count]
    variances = torch.where(variances > max(FLAT * float(variances[0]), INVISIBLE), variances, 0.0)
    axes = torch.zeros(count, len(mean_D))
    axes[: len(variances)] = (variances.sqrt()[:, None] * (basis_DR.double() @ rotation).t()).float()
    return axes


def _centred(pixels: Tensor, mean_D: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Yield the images, in [-1, 1] and less the mean, float32 (≤ batch_size, D)."""
    for piece in torch.split(pixels, batch_size):
        yield (piece.float() / HALF_RANGE - 1.0) - mean_D


def _mean(pixels: Tensor, batch_size: int) -> Tensor:
    total = torch.zeros(pixels.shape[1], dtype=torch.float64)
    for piece in torch.split(pixels, batch_size):
        total += piece.double().sum(0)
    return (total / len(pixels) / HALF_RANGE - 1.0).float()


def _orthonormal(columns_DR: Tensor) -> Tensor:
    basis: Tensor = torch.linalg.qr(columns_DR).Q
    return basis

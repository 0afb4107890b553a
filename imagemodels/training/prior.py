"""Gaussians fitted to the latents of the training images once an autoencoder is trained.

The encoded images never fill the standard normal distribution that the bound asks for, so that a latent drawn from it
may lie where the decoder has learnt nothing (Ghosh et al., arXiv 1903.12436, who call this ex-post density estimation).

Shapes: N images, Z latent size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from imagemodels.networks.prior import GaussianPrior

JITTER = 1e-6  # added to each variance: a latent that never moves would leave no triangular factor
ROUNDS = 20  # of k-means


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder says of images: means and variances (N, Z), and the classes (N,) of a conditional model."""

    means: Tensor
    variances: Tensor
    labels: Tensor | None


def fit(prior: GaussianPrior, encoded: Encoded) -> None:
    """Fill ``prior`` with Gaussians of the encoded images, in float64 on the CPU.

    The images of a group are parted by k-means where it has several parts. A part's covariance is that of its means
    plus their mean variance, drawn towards the covariance of all parts the more the fewer images it has.
    """
    means_NZ, variances_NZ = encoded.means.double().cpu(), encoded.variances.double().cpu()
    groups, parts, size = prior.means.shape
    groups_N = encoded.labels.cpu() if encoded.labels is not None else torch.zeros(len(means_NZ), dtype=torch.int64)
    part_N = torch.zeros_like(groups_N)
    for group in range(groups):
        chosen = groups_N == group
        part_N[chosen] = nearest_centres(means_NZ[chosen], parts)
    cells_N = groups_N * parts + part_N
    counts = torch.bincount(cells_N, minlength=groups * parts).double()
    centres = _centres(means_NZ, cells_N, counts)
    scatters = _scatters(means_NZ - centres[cells_N], variances_NZ, cells_N, len(counts))
    pooled = scatters.sum(0) / len(means_NZ)
    covariances = (scatters + size * pooled) / (counts + size)[:, None, None]
    factors = torch.linalg.cholesky(covariances + JITTER * torch.eye(size, dtype=torch.float64))
    prior.weights.copy_(_weights(counts.view(groups, parts)))
    prior.means.copy_(centres.view(groups, parts, size))
    prior.factors.copy_(factors.view(groups, parts, size, size))


def nearest_centres(points_NZ: Tensor, count: int) -> Tensor:
    """Return the number (N,) of the k-means centre next to each point, from centres that lie far apart at first."""
    if count == 1 or len(points_NZ) <= count:
        return torch.arange(len(points_NZ)) % count
    centres = _far_apart(points_NZ, count)
    for _ in range(ROUNDS):
        nearest_N = torch.cdist(points_NZ, centres).argmin(1)
        counts = torch.bincount(nearest_N, minlength=count).double()
        centres = torch.where((counts > 0)[:, None], _centres(points_NZ, nearest_N, counts), centres)
    return nearest_N


def _far_apart(points_NZ: Tensor, count: int) -> Tensor:
    """Each centre is the point farthest from those before it; the first is the one next to the mean."""
    chosen = [int((points_NZ - points_NZ.mean(0)).square().sum(1).argmin())]
    distances_N = (points_NZ - points_NZ[chosen[0]]).square().sum(1)
    for _ in range(count - 1):
        chosen.append(int(distances_N.argmax()))
        distances_N = torch.minimum(distances_N, (points_NZ - points_NZ[chosen[-1]]).square().sum(1))
    return points_NZ[chosen]


def _centres(points_NZ: Tensor, cells_N: Tensor, counts: Tensor) -> Tensor:
    """The mean of each cell's points; that of all points for a cell without any."""
    sums = torch.zeros(len(counts), points_NZ.shape[1], dtype=points_NZ.dtype).index_add_(0, cells_N, points_NZ)
    return torch.where((counts > 0)[:, None], sums / counts.clamp_min(1)[:, None], points_NZ.mean(0))


def _scatters(deviations_NZ: Tensor, variances_NZ: Tensor, cells_N: Tensor, cells: int) -> Tensor:
    """The sum over each cell's images of what their covariances are the mean of."""
    found = []
    for cell in range(cells):
        chosen = cells_N == cell
        deviations = deviations_NZ[chosen]
        found.append(deviations.t() @ deviations + torch.diag(variances_NZ[chosen].sum(0)))
    return torch.stack(found)


def _weights(counts_GP: Tensor) -> Tensor:
    """Shares of a group's images; equal ones for a group without any."""
    totals = counts_GP.sum(1, keepdim=True)
    return torch.where(totals > 0, counts_GP / totals.clamp_min(1), 1.0 / counts_GP.shape[1])

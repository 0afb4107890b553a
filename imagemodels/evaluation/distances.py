"""Distances between two sets of features, in float64: Fréchet and kernel.

Shapes: N and M images, F features.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imagemodels.errors import DataError

Features = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.float64]

KERNEL_SUBSETS = 10
KERNEL_SUBSET_SIZE = 1000  # images


def frechet_distance(first: Features, second: Features) -> float:
    """Return the squared Fréchet distance between Gaussians fitted to features (N, F) and (M, F).

    |μ1 − μ2|² + tr(C1 + C2 − 2 (C1 C2)^½), Heusel et al. 2017 (arXiv 1706.08500), equation 6. The root's trace is
    taken from the eigenvalues of the symmetric C1^½ C2 C1^½, which stays real and stable for singular covariances;
    with fewer images than features, from the singular values of the product of both centred sets, whose squares they
    are. Never negative. Raises DataError for fewer than two images or features that are not finite.
    """
    first_NF, second_MF = _checked(first), _checked(second)
    is_few = min(len(first_NF), len(second_MF)) < first_NF.shape[1]
    root_trace = _root_trace_of_few(first_NF, second_MF) if is_few else None
    return moments_distance(_moments(first_NF), _moments(second_MF), root_trace)


@dataclass(frozen=True, eq=False)
class Moments:
    """The Gaussian fitted to features: their mean (F,) and covariance (F, F), and of how many images they are."""

    mean: Matrix
    covariance: Matrix
    count: int


def moments(features: Features) -> Moments:
    """Return the Gaussian fitted to features (N, F).  Raises DataError as frechet_distance does."""
    return _moments(_checked(features))


def moments_distance(first: Moments, second: Moments, root_trace: float | None = None) -> float:
    """Return the squared Fréchet distance between two Gaussians; ``root_trace`` is tr (C1 C2)^½ where it is known."""
    mean_gap = first.mean - second.mean
    if root_trace is None:
        root_FF = _symmetric_root(first.covariance)
        eigenvalues = np.linalg.eigvalsh(root_FF @ second.covariance @ root_FF)
        root_trace = float(np.sqrt(np.clip(eigenvalues, 0.0, None)).sum())
    traces = np.trace(first.covariance) + np.trace(second.covariance)
    return max(0.0, float(mean_gap @ mean_gap + traces - 2.0 * root_trace))


def frechet_bias(reference: Features, first_count: int, second_count: int) -> float:
    """Estimate the Fréchet distance that two finite samples of the reference's own distribution would show.

    With n images on both sides and F uncorrelated features of variance 1 it is F²/2n; here F is replaced by the
    effective number of dimensions, (tr C)² / tr C², and the result scales with the total variance.
    """
    return moments_bias(moments(reference), first_count, second_count)


def moments_bias(reference: Moments, first_count: int, second_count: int) -> float:
    """Estimate the same of the Gaussian that was fitted to the reference."""
    covariance_FF = reference.covariance
    trace = float(np.trace(covariance_FF))
    # A sample overstates tr C² by (tr C)² / n, as if its features were more correlated than they are.
    square = float((covariance_FF**2).sum()) - trace**2 / reference.count
    effective_dimensions = min(trace**2 / square, covariance_FF.shape[0]) if square > 0 else 0.0
    return trace * effective_dimensions / 4.0 * (1.0 / first_count + 1.0 / second_count)


@dataclass(frozen=True)
class KernelDistance:
    """The mean over subsets and the standard error of that mean."""

    value: float
    standard_error: float


def kernel_distance(
    first: Features,
    second: Features,
    *,
    seed: int,
    subsets: int = KERNEL_SUBSETS,
    subset_size: int = KERNEL_SUBSET_SIZE,
) -> KernelDistance:
    """Return the kernel distance (KID) between features (N, F) and (M, F): unbiased, so it may fall below zero.

    Squared maximum mean discrepancy under the kernel (x·y / F + 1)³, mean over random subsets of equal size
    (Bińkowski et al. 2018, arXiv 1801.01401). When the smaller set has no more than subset_size images, the whole
    sets are compared once, with no chance involved. Raises DataError as frechet_distance does.
    """
    first_NF, second_MF = _checked(first), _checked(second)
    if min(len(first_NF), len(second_MF)) <= subset_size:
        return KernelDistance(unbiased_discrepancy(first_NF, second_MF), 0.0)
    generator = np.random.default_rng(seed)
    values = [
        unbiased_discrepancy(
            generator.choice(first_NF, subset_size, replace=False),
            generator.choice(second_MF, subset_size, replace=False),
        )
        for _ in range(subsets)
    ]
    return KernelDistance(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(subsets)))


def unbiased_discrepancy(first_NF: Matrix, second_MF: Matrix) -> float:
    """Return the unbiased squared maximum mean discrepancy under the cubic kernel (x·y / F + 1)³."""
    count, other_count = len(first_NF), len(second_MF)
    within_first = _cubic(first_NF, first_NF)
    within_second = _cubic(second_MF, second_MF)
    first_term = (within_first.sum() - np.trace(within_first)) / (count * (count - 1))
    second_term = (within_second.sum() - np.trace(within_second)) / (other_count * (other_count - 1))
    return float(first_term + second_term - 2.0 * _cubic(first_NF, second_MF).mean())


def _cubic(first_NF: Matrix, second_MF: Matrix) -> Matrix:
    base_NM = first_NF @ second_MF.T / first_NF.shape[1] + 1.0
    cubes_NM: Matrix = base_NM * base_NM * base_NM
    return cubes_NM


def _checked(features: Features) -> Matrix:
    if features.ndim != 2 or len(features) < 2:
        raise DataError(f"a distance needs features (N, F) of at least two images; found shape {features.shape}")
    features_NF = features.astype(np.float64)
    if not np.isfinite(features_NF).all():
        raise DataError("the features hold NaN or infinity; the feature net or the images are broken")
    return features_NF


def _moments(features_NF: Matrix) -> Moments:
    return Moments(features_NF.mean(0), _covariance(features_NF), len(features_NF))


def _covariance(features_NF: Matrix) -> Matrix:
    centred_NF = features_NF - features_NF.mean(0)
    covariance_FF: Matrix = centred_NF.T @ centred_NF / (len(features_NF) - 1)
    return covariance_FF


def _root_trace_of_few(first_NF: Matrix, second_MF: Matrix) -> float:
    cross_NM = (first_NF - first_NF.mean(0)) @ (second_MF - second_MF.mean(0)).T
    scale = np.sqrt((len(first_NF) - 1.0) * (len(second_MF) - 1.0))
    return float(np.linalg.svd(cross_NM, compute_uv=False).sum() / scale)


def _symmetric_root(matrix_FF: Matrix) -> Matrix:
    eigenvalues_F, vectors_FF = np.linalg.eigh(matrix_FF)
    root_FF: Matrix = (vectors_FF * np.sqrt(np.clip(eigenvalues_F, 0.0, None))) @ vectors_FF.T
    return root_FF

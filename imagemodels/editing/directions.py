"""Directions in a model's latent space: which way images get more of an attribute.

Shapes: N latents, Z latent size. In float64 on the CPU.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from imagemodels.errors import DataError

RIDGE = 1e-3  # half of it times the squared weights: latents that a plane parts without error have no other optimum
NEWTON_STEPS = 100
SMALLEST_DECREASE = 1e-12  # of the loss, promised by a step
SHORTEST = 1e-9  # of what is left of a unit vector


@dataclass(frozen=True, slots=True)
class Direction:
    """A unit vector (Z,) towards an attribute, and how far along it latents with and without it lie apart."""

    vector: Tensor
    length: float
    middle: float  # halfway between the two means, along the vector

    @property
    def digest(self) -> str:
        """The sha256 in hexadecimal of how far a strength of 1 moves, as float32."""
        step_Z = (self.vector.numpy() * self.length).astype("<f4")
        return hashlib.sha256(step_Z.tobytes()).hexdigest()

    def moved(self, latents: NDArray[np.float32], strengths: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return latents (N, Z) moved by strengths (N,): 1 is the distance of the means of those with and without."""
        step_Z = self.vector.numpy() * self.length
        moved: NDArray[np.float32] = (latents + strengths[:, None] * step_Z).astype(np.float32)
        return moved

    def accuracy(self, latents: NDArray[np.float32], has: NDArray[np.bool_]) -> float:
        """Return the share of latents (N, Z) on their own side of the middle, as the mean of both sides' shares."""
        beyond_N = (latents.astype(np.float64) @ self.vector.numpy()) > self.middle
        sides = [float((beyond_N[has == side] == side).mean()) for side in (True, False) if (has == side).any()]
        return sum(sides) / len(sides)


def fitted_direction(
    latents: NDArray[np.float32],
    has: NDArray[np.bool_],
    fit: str = "logistic",
    apart_from: Sequence[Tensor] = (),
) -> Direction:
    """Return the direction from latents (N, Z) without an attribute to those with it, ``has`` (N,).

    ``logistic``: the normal of the plane that parts them by logistic regression; a linear boundary in latent space is
    what Shen et al., arXiv 1907.10786, move images across. ``means``: from one mean to the other (Larsen et al., arXiv
    1512.09300, section 3.3). The direction is made orthogonal to the unit vectors ``apart_from`` (Z,), so that what
    they stand for stays (arXiv 1907.10786, section 3.3, conditional manipulation).
    Raises DataError when there are no latents of either kind, or nothing is left of the direction.
    """
    if has.all() or not has.any():
        raise DataError(f"a direction needs examples with and without the attribute; found {has.sum()} of {len(has)}")
    points_NZ, has_N = torch.from_numpy(latents).double(), torch.from_numpy(has)
    vector = _without(_unit(FITS[fit](points_NZ, has_N)), apart_from)
    along_N = points_NZ @ vector
    with_it, without_it = float(along_N[has_N].mean()), float(along_N[~has_N].mean())
    return Direction(vector, with_it - without_it, (with_it + without_it) / 2)


def means_normal(points_NZ: Tensor, has_N: Tensor) -> Tensor:
    """Return the difference (Z,) of the means of latents (N, Z) with and without the attribute."""
    apart_Z: Tensor = points_NZ[has_N].mean(0) - points_NZ[~has_N].mean(0)
    return apart_Z


def logistic_normal(points_NZ: Tensor, has_N: Tensor) -> Tensor:
    """Return the weights (Z,) of a logistic regression in which both kinds count alike, by Newton's method.

    Each latent is weighed by the rarity of its kind, so that one class against nine does not shift the plane.
    """
    rows = torch.cat((points_NZ, torch.ones(len(points_NZ), 1, dtype=torch.float64)), dim=1)
    signs_N = torch.where(has_N, 1.0, -1.0).double()
    shares_N = torch.where(has_N, 0.5 / has_N.sum(), 0.5 / (~has_N).sum()).double()
    ridge = torch.full((rows.shape[1],), RIDGE, dtype=torch.float64)
    ridge[-1] = 0.0  # the plane may lie anywhere
    weights = torch.zeros(rows.shape[1], dtype=torch.float64)

    def loss(at: Tensor) -> Tensor:
        return (shares_N * functional.softplus(-signs_N * (rows @ at))).sum() + 0.5 * (ridge * at.square()).sum()

    for _ in range(NEWTON_STEPS):
        wrong_N = torch.sigmoid(-signs_N * (rows @ weights))
        gradient = ridge * weights - rows.t() @ (shares_N * signs_N * wrong_N)
        curved_N = shares_N * wrong_N * (1 - wrong_N)
        step = torch.linalg.solve(rows.t() @ (curved_N[:, None] * rows) + torch.diag(ridge), gradient)
        decrease = float(gradient @ step) / 2
        if decrease < SMALLEST_DECREASE:
            break
        size = 1.0
        while loss(weights - size * step) > loss(weights) - size * decrease / 2 and size > SHORTEST:
            size /= 2
        weights = weights - size * step
    return weights[:-1]


FITS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"logistic": logistic_normal, "means": means_normal}


def _unit(vector: Tensor) -> Tensor:
    length = float(vector.norm())
    if length < SHORTEST:
        raise DataError("latents with and without the attribute have the same mean: there is no direction")
    return vector / length


def _without(vector: Tensor, others: Sequence[Tensor]) -> Tensor:
    """The unit vector without its parts along the others, which need not be orthogonal to each other."""
    if not others:
        return vector
    basis_ZK, _ = torch.linalg.qr(torch.stack(tuple(others), dim=1))
    left = vector - basis_ZK @ (basis_ZK.t() @ vector)
    if float(left.norm()) < SHORTEST:
        raise DataError("nothing is left of the direction without those that it is to be apart from")
    return _unit(left)

"""The latents of numbered images: each a function of prior, seed, index and class. Drawn on the CPU."""

import numpy as np
from numpy.typing import NDArray

from imagemodels import random
from imagemodels.networks.architectures import Decoder

PIECE_VALUES = 262_144  # of factors at a time: each image takes a copy of its Gaussian's, Z×Z values


class LatentSource:
    """Draws from a decoder's prior."""

    def __init__(self, decoder: Decoder) -> None:
        self._size = decoder.spec.latent_size
        self._prior = None
        if decoder.prior is not None:
            buffers = (decoder.prior.weights, decoder.prior.means, decoder.prior.factors)
            self._prior = tuple(buffer.cpu().numpy() for buffer in buffers)

    def draw(self, seed: int, indices: NDArray[np.int64], labels: NDArray[np.int64] | None) -> NDArray[np.float32]:
        """Return latents (N, Z), float32, for the images ``indices`` (N,) of the series ``seed``."""
        noise_NZ = random.latents(seed, indices, self._size)
        if self._prior is None:
            return noise_NZ
        weights, means, factors = self._prior
        group_N = labels if labels is not None else np.zeros(len(indices), dtype=np.int64)
        uniform_N = random.uniforms(seed, indices, "parts")
        part_N = (uniform_N[:, None] >= weights.cumsum(1)[group_N, :-1]).sum(1)
        found = np.empty_like(noise_NZ)
        piece = piece_images(self._size)
        for first in range(0, len(indices), piece):
            rows = slice(first, first + piece)
            chosen = group_N[rows], part_N[rows]
            # Not as a product of matrices, whose last bits depend on how many rows there are.
            found[rows] = means[chosen] + np.einsum("nij,nj->ni", factors[chosen], noise_NZ[rows])
        return found


def piece_images(latent_size: int) -> int:
    """Return how many images of that latent size are drawn at a time."""
    return max(1, PIECE_VALUES // latent_size**2)

"""The latents of numbered images: each a function of prior, seed, index and class. Drawn on the CPU."""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from imagemodels import random
from imagemodels.networks.architectures import Decoder

SHORTEST = 1e-12  # product of two lengths
SMALLEST_SINE = 1e-6
THREADS = 4  # numpy computes without holding its interpreter's lock
PIECE_VALUES = 262_144  # of factors at a time: each image takes a copy of its Gaussian's, Z×Z values


def between(
    first: NDArray[np.float32], second: NDArray[np.float32], shares: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return latents (N, Z) on the way from ``first`` to ``second`` (N, Z): there for a share (N,) of 0, here for 1.

    Spherical interpolation (Shoemake, SIGGRAPH 1985): the way stays as far from the origin as its ends are, where a
    straight one comes by latents that are nearer to it than any the model was trained on (White, arXiv 1609.04468).
    Nearly parallel ends are joined by a straight line.
    """
    a_NZ, b_NZ, share_N1 = first.astype(np.float64), second.astype(np.float64), shares[:, None]
    lengths_N = np.sqrt((a_NZ * a_NZ).sum(1) * (b_NZ * b_NZ).sum(1))
    cosine_N1 = ((a_NZ * b_NZ).sum(1) / np.maximum(lengths_N, SHORTEST)).clip(-1.0, 1.0)[:, None]
    angle_N1 = np.arccos(cosine_N1)
    sine_N1 = np.sin(angle_N1)
    curved = sine_N1 > SMALLEST_SINE
    divisor_N1 = np.where(curved, sine_N1, 1.0)
    from_first = np.where(curved, np.sin((1 - share_N1) * angle_N1) / divisor_N1, 1 - share_N1)
    from_second = np.where(curved, np.sin(share_N1 * angle_N1) / divisor_N1, share_N1)
    return (from_first * a_NZ + from_second * b_NZ).astype(np.float32)


class LatentSource:
    """Draws from a decoder's prior."""

    def __init__(self, decoder: Decoder) -> None:
        self._size, self._choosing = decoder.spec.latent_size, decoder.choosing_latents
        self._prior = None
        if decoder.prior is not None:
            buffers = (decoder.prior.weights, decoder.prior.means, decoder.prior.factors)
            self._prior = tuple(buffer.cpu().numpy() for buffer in buffers)

    def draw_with_threads(
        self, seed: int, indices: NDArray[np.int64], labels: NDArray[np.int64] | None
    ) -> NDArray[np.float32]:
        """Return what ``draw`` returns, sooner: a GPU may make images faster than one thread draws their latents."""
        parts = np.array_split(np.arange(len(indices)), THREADS)
        with_labels = [(indices[part], None if labels is None else labels[part]) for part in parts]
        return np.concatenate(list(self._threads.map(lambda part: self.draw(seed, *part), with_labels)))

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(THREADS, thread_name_prefix="latents")

    def draw(
        self, seed: int, indices: NDArray[np.int64], labels: NDArray[np.int64] | None, truncation: float = 1.0
    ) -> NDArray[np.float32]:
        """Return latents (N, Z), float32, for the images ``indices`` (N,) of the series ``seed``.

        ``truncation`` brings each nearer to the mean of the Gaussian that it is drawn from: to this share of its way.
        """
        noise_NZ = random.latents(seed, indices, self._size)
        if truncation != 1.0:
            noise_NZ[:, self._choosing :] *= np.float32(truncation)
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

"""Randomness that depends on a seed and a position alone, never on batch, shard, device or history. numpy only."""

import hashlib
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

WORDS_PER_BLOCK = 4  # Philox 4×64 yields four 64-bit words for each value of its counter
TWO_TO_MINUS_32 = 2.0**-32


def latents(seed: int, indices: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """Return standard normal latents (N, ``size``), float32, row i drawn for image ``indices[i]`` of job ``seed``.

    Raises ValueError when an index is negative.
    """
    return normal_rows(seed, indices, "latents", size)


def normal_rows(seed: int, indices: NDArray[np.int64], purpose: str, size: int) -> NDArray[np.float32]:
    """Return ``size`` standard normal numbers for each index, (N, ``size``), float32, drawn for a purpose.

    Philox 4×64-10 (Salmon et al., SC 2011) is keyed by the seed and its counter starts at index · blocks, so that every
    image consumes the same amount and any slice equals the same rows of the whole. Uniforms have 32 bits;
    normals come by Box–Muller, whose cosine and sine halves are both used.
    Raises ValueError when an index is negative.
    """
    indices = np.asarray(indices, dtype=np.int64)
    if indices.size and int(indices.min()) < 0:
        raise ValueError(f"image indices start at 0, got {int(indices.min())}")
    blocks = -(-size // (2 * WORDS_PER_BLOCK))
    words = _philox_words(_key(seed, purpose), indices, blocks)
    return _normals(words)[:, :size]


def uniforms(seed: int, indices: NDArray[np.int64], purpose: str) -> NDArray[np.float64]:
    """Return one uniform number in [0, 1) for each image, (N,): row i for image ``indices[i]`` of job ``seed``."""
    return uniform_rows(seed, indices, purpose, 1)[:, 0]


def uniform_rows(seed: int, indices: NDArray[np.int64], purpose: str, size: int) -> NDArray[np.float64]:
    """Return ``size`` uniform numbers in [0, 1) for each index, (N, ``size``), drawn as ``uniforms`` draws one."""
    blocks = -(-size // WORDS_PER_BLOCK)
    words = _philox_words(_key(seed, purpose), np.asarray(indices, dtype=np.int64), blocks)
    return (words[:, :size] >> np.uint64(11)).astype(np.float64) * 2.0**-53


def labels(indices: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Return balanced labels (N,), int64: image i belongs to class i mod ``num_classes``."""
    return np.asarray(indices, dtype=np.int64) % num_classes


def step_seed(seed: int, step: int, purpose: str) -> int:
    """Return the seed (63 bits) of one draw in training, a function of run seed, step and purpose alone."""
    digest = hashlib.blake2b(f"{seed}:{step}:{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def candidate_seed(seed: int, candidate: int) -> int:
    """Return the seed of the series in which the candidates of that number are; that of the job itself for 0."""
    return step_seed(seed, candidate, "candidate") if candidate else seed


def diverted_seed(seed: int, times: int) -> int:
    """Return the seed of a run that has left its path so many times; that of the run itself for 0."""
    return step_seed(seed, times, "diverted") if times else seed


def _key(seed: int, purpose: str) -> NDArray[np.uint64]:
    digest = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=16).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


def _philox_words(key: NDArray[np.uint64], indices: NDArray[np.int64], blocks: int) -> NDArray[np.uint64]:
    """Return raw words (N, 4 · blocks); one call of the bit generator for each run of consecutive indices."""
    words = np.empty((len(indices), blocks * WORDS_PER_BLOCK), dtype=np.uint64)
    borders = np.flatnonzero(np.diff(indices) != 1) + 1
    edges = [0, *borders.tolist(), len(indices)] if len(indices) else [0]
    for start, stop in pairwise(edges):
        counter = int(indices[start]) * blocks
        # numpy increments the counter before its first block: counter c yields the words of block c + 1.
        bits = np.random.Philox(key=key, counter=counter)
        words[start:stop] = bits.random_raw((stop - start) * words.shape[1]).reshape(stop - start, -1)
    return words


def _normals(words: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Return two normals for each word: (N, W) words to (N, 2W) float32."""
    halves = words.view(np.uint32)  # (N, 2W); little-endian on every platform that torch runs on
    first, second = halves[:, 0::2], halves[:, 1::2]
    # In (0, 1]: the logarithm is finite, and the radius at most 6.7.
    radius = np.sqrt(-2.0 * np.log((first + 1.0) * TWO_TO_MINUS_32))
    angle = second * (2.0 * np.pi * TWO_TO_MINUS_32)
    pairs = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=2)
    return pairs.reshape(halves.shape).astype(np.float32)

"""How likely each code is, given the codes above and to the left of it: whole numbers, fitted to training images.

Shapes: N images, D channels, H × W places, L levels of the finest channel, K = (L + 1)² contexts. Beyond the border
lies the level L. A channel of fewer levels leaves the rest of its tables at zero.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from imagemodels.coding.entropy import TOTAL
from imagemodels.errors import CorruptCheckpoint

Codes = npt.NDArray[np.uint8]
Tables = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]

PRIOR_CODES = 8  # that a context is taken to have seen already, spread as all codes of the channel are


def table_shape(levels: Sequence[int]) -> tuple[int, int, int]:
    """Return (D, K, L)."""
    finest = max(levels)
    return len(levels), (finest + 1) ** 2, finest


def contexts(codes: Codes, finest: int) -> Counts:
    """Return the context (N, D, H, W) of each of the codes (N, D, H, W)."""
    padded = np.pad(codes.astype(np.int64), ((0, 0), (0, 0), (1, 0), (1, 0)), constant_values=finest)
    return padded[:, :, :-1, 1:] * (finest + 1) + padded[:, :, 1:, :-1]


def uniform_tables(levels: Sequence[int]) -> Tables:
    """Return frequencies (D, K, L) under which all codes are alike."""
    channels, places, finest = table_shape(levels)
    return _frequencies(np.zeros((channels, places, finest), dtype=np.int64), levels)


def fitted_tables(codes: Codes, levels: Sequence[int]) -> Tables:
    """Return frequencies (D, K, L) for codes (N, D, H, W) like these; none is 0, so that every code can be written."""
    channels, places, finest = table_shape(levels)
    cells = contexts(codes, finest) * finest + codes
    counts = [np.bincount(cells[:, channel].ravel(), minlength=places * finest) for channel in range(channels)]
    return _frequencies(np.stack(counts).reshape(channels, places, finest).astype(np.int64), levels)


def _frequencies(counts: Counts, levels: Sequence[int]) -> Tables:
    frequencies = np.zeros(counts.shape, dtype=np.int32)
    for channel, count in enumerate(levels):
        seen = counts[channel, :, :count]
        overall = seen.sum(0) + 1
        weights = seen * overall.sum() + PRIOR_CODES * overall
        shares = 1 + weights * (TOTAL - count) // weights.sum(1, keepdims=True)
        shares[np.arange(len(shares)), shares.argmax(1)] += TOTAL - shares.sum(1)
        frequencies[channel, :, :count] = shares
    return frequencies


def cumulative(tables: Tables, levels: Sequence[int]) -> list[list[list[int]]]:
    """Return for each channel and context the sums of the frequencies before each level, and ``TOTAL``.

    Raises CorruptCheckpoint for tables by which nothing can be coded.
    """
    if tables.shape != table_shape(levels):
        raise CorruptCheckpoint(f"frequencies have shape {table_shape(levels)}; found {tables.shape}")
    found = []
    for channel, count in enumerate(levels):
        used = tables[channel, :, :count].astype(np.int64)
        if used.min() < 1 or (used.sum(1) != TOTAL).any():
            raise CorruptCheckpoint(f"the frequencies of code channel {channel} do not add up to {TOTAL}")
        starts = np.concatenate((np.zeros((len(used), 1), dtype=np.int64), used.cumsum(1)), axis=1)
        found.append(starts.tolist())
    return found

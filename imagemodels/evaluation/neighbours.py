"""Nearest neighbours by brute force, in chunks that bound the memory."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

CHUNK_ELEMENTS = 8_000_000  # distances held at once: 64 MB


def distance_chunks(queries: Matrix, references: Matrix) -> Iterator[tuple[slice, Matrix]]:
    """Yield (rows, Euclidean distances (rows, M)) for queries (N, F) against references (M, F)."""
    reference_squares = np.einsum("mf,mf->m", references, references)
    step = max(1, CHUNK_ELEMENTS // max(1, len(references)))
    for start in range(0, len(queries), step):
        rows = slice(start, min(start + step, len(queries)))
        chunk = queries[rows]
        squares = np.einsum("nf,nf->n", chunk, chunk)[:, np.newaxis] + reference_squares
        squares -= 2.0 * (chunk @ references.T)
        # Rounding leaves tiny negatives where two points coincide.
        yield rows, np.sqrt(np.clip(squares, 0.0, None, out=squares), out=squares)


def nearest(queries: Matrix, references: Matrix) -> tuple[Matrix, Indices]:
    """Return the distance (N,) to the nearest reference of each query, and its index (N,)."""
    distances = np.empty(len(queries))
    indices = np.empty(len(queries), dtype=np.int64)
    for rows, chunk in distance_chunks(queries, references):
        indices[rows] = chunk.argmin(1)
        distances[rows] = np.take_along_axis(chunk, indices[rows, np.newaxis], 1)[:, 0]
    return distances, indices


def radii(points: Matrix, k: int) -> Matrix:
    """Return the distance (N,) from each point to its k-th nearest other point."""
    result = np.empty(len(points))
    for rows, chunk in distance_chunks(points, points):
        chunk[np.arange(len(chunk)), np.arange(rows.start, rows.stop)] = np.inf
        result[rows] = np.partition(chunk, k - 1, axis=1)[:, k - 1]
    return result

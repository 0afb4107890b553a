"""Curves made ready to draw: smoothing, and thinning that keeps every peak."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LARGEST_DRAWN = 1e100  # beyond it a value has diverged, and differences of such values overflow


def drawable(values: FloatArray, *, logarithmic: bool = False) -> npt.NDArray[np.bool_]:
    """Tell which values (N,) can stand on a chart: finite, and above 0 if the axis is logarithmic."""
    with np.errstate(invalid="ignore"):
        usable: npt.NDArray[np.bool_] = np.abs(values) < LARGEST_DRAWN  # False for NaN
        return usable & (values > 1 / LARGEST_DRAWN) if logarithmic else usable


def smooth(values: FloatArray, half_life_points: float) -> FloatArray:
    """Give the exponential moving average (N,) of values (N,), with its start corrected.

    The correction is that of Adam (arXiv 1412.6980 §3). Values that are not finite do not enter the average and are
    NaN in the result.
    """
    keep = 0.5 ** (1.0 / half_life_points)
    usable = drawable(values)
    total, weight = 0.0, 0.0
    smoothed = np.full(values.shape, np.nan)
    averages = []
    for value in values[usable].tolist():
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        averages.append(total / weight)
    smoothed[usable] = averages
    return smoothed


def thin(positions: FloatArray, values: FloatArray, max_points: int) -> tuple[FloatArray, FloatArray]:
    """Keep at most `max_points` points: the least and the greatest value of each of max_points / 2 equal stretches.

    NaN marks a gap: it stands for a stretch that holds nothing but NaN, and does not count as a point.
    """
    if len(values) <= max_points:
        return positions, values
    edges = np.linspace(0, len(values), max_points // 2 + 1).astype(np.int64)
    kept = np.concatenate([_extremes(values, start, stop) for start, stop in pairwise(edges.tolist())])
    return positions[kept], values[kept]


def _extremes(values: FloatArray, start: int, stop: int) -> npt.NDArray[np.int64]:
    stretch = values[start:stop]
    finite = np.flatnonzero(np.isfinite(stretch))
    if finite.size == 0:
        return np.array([start])
    pair = {int(finite[np.argmin(stretch[finite])]), int(finite[np.argmax(stretch[finite])])}
    return np.array(sorted(start + place for place in pair))

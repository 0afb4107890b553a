"""How many images of each class, and which of the numbers are theirs. Free of torch.

Nothing here is drawn: the class of an image follows from its number and the quotas alone.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import gcd

import numpy as np
from numpy.typing import NDArray

MOST_IMAGES = 2**40  # products of numbers stay below 2^60 when one factor is cut into halves
_HALF_BITS = 20
_GOLDEN = (5**0.5 - 1) / 2


def apportioned(weights: Sequence[float], total: int) -> list[int]:
    """Return whole numbers that sum to ``total`` and stand to one another as the weights do, which are above 0.

    By largest remainders (Hamilton): each differs from its exact share by less than 1. Of equal remainders the first
    is the larger. In exact arithmetic.

    >>> apportioned([2, 1, 1], 10)
    [5, 3, 2]
    """
    exact = [Fraction(weight) for weight in weights]
    shares = [weight * total / sum(exact) for weight in exact]
    counts = [int(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda place: (counts[place] - shares[place], place))
    for place in by_remainder[: total - sum(counts)]:
        counts[place] += 1
    return counts


def parts_of(numbers: NDArray[np.int64], counts: Sequence[int]) -> NDArray[np.int64]:
    """Return for each number (N,), from 0 up to the sum of the counts, the part (N,) it belongs to.

    Over all numbers each part has exactly its count, and any stretch has nearly its share: the numbers are first
    brought to others by steps of a golden section of the whole (the additive recurrence of Weyl), which have no common
    factor with it, and each part takes the next so many of those.
    """
    total = sum(counts)
    if total > MOST_IMAGES:
        raise ValueError(f"at most {MOST_IMAGES:,} images can be shared out, got {total:,}")
    places = _multiplied(np.asarray(numbers, dtype=np.int64), _step(total), total)
    found: NDArray[np.int64] = np.searchsorted(np.cumsum(counts), places, side="right").astype(np.int64)
    return found


def _step(total: int) -> int:
    """Return the whole number near the golden section of ``total`` that has no common factor with it."""
    step = max(1, round(total * _GOLDEN))
    while gcd(step, total) != 1:
        step += 1
    return step


def _multiplied(numbers: NDArray[np.int64], factor: int, modulus: int) -> NDArray[np.int64]:
    """Return (numbers · factor) mod modulus, all below 2^40, without leaving 63 bits."""
    high, low = numbers >> _HALF_BITS, numbers & ((1 << _HALF_BITS) - 1)
    upper = (high * factor) % modulus
    product: NDArray[np.int64] = ((upper << _HALF_BITS) + low * factor) % modulus
    return product

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagemodels.quotas import MOST_IMAGES, apportioned, parts_of

counts = st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(lambda found: sum(found) > 0)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8), st.integers(1, 10**12))
def test_shares_sum_to_the_whole_and_are_less_than_one_off(weights: list[float], total: int) -> None:
    found = apportioned(weights, total)
    assert sum(found) == total
    whole = sum(map(Fraction, weights))
    assert all(abs(one - Fraction(weight) * total / whole) < 1 for one, weight in zip(found, weights, strict=True))


def test_the_largest_remainder_gets_what_is_left_and_the_first_of_equal_ones() -> None:
    assert apportioned([1, 1, 1], 10) == [4, 3, 3]
    assert apportioned([0.2, 0.5, 0.3], 7) == [1, 4, 2]  # of 1.4, 3.5 and 2.1


@given(counts)
def test_each_part_has_exactly_its_count_and_any_slice_is_that_of_the_whole(found: list[int]) -> None:
    numbers = np.arange(sum(found))
    parts = parts_of(numbers, found)
    assert np.bincount(parts, minlength=len(found)).tolist() == found
    assert np.array_equal(parts_of(numbers[::-1], found), parts[::-1])


def test_every_stretch_has_nearly_its_share_of_each_part() -> None:
    parts = parts_of(np.arange(10_000), [7_000, 2_500, 500])
    for first in range(0, 10_000, 400):
        shares = np.bincount(parts[first : first + 400], minlength=3) / 400
        assert np.abs(shares - [0.7, 0.25, 0.05]).max() < 0.01


def test_numbers_far_into_a_large_job_keep_all_their_digits() -> None:
    total, numbers = 10**12, [0, 10**12 - 1, 123_456_789_012, 2**39 + 7]
    step = round(total * (5**0.5 - 1) / 2)
    while np.gcd(step, total) != 1:
        step += 1
    places = [number * step % total for number in numbers]  # Python's integers have no end
    assert parts_of(np.array(numbers), [total // 3, total - total // 3]).tolist() == [
        int(place >= total // 3) for place in places
    ]
    with pytest.raises(ValueError, match="at most"):
        parts_of(np.arange(3), [MOST_IMAGES, 1])

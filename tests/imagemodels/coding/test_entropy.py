import math
import random
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagemodels.coding.entropy import LOWEST, TOTAL, Decoder, encode
from imagemodels.errors import DamagedFile


def starts_of(frequencies: list[int]) -> list[int]:
    return [0, *accumulate(frequencies)]


def written(symbols: list[int], starts: list[int], check: int = 0) -> bytes:
    return encode([(starts[symbol], starts[symbol + 1] - starts[symbol]) for symbol in symbols], check)


def read(content: bytes, count: int, starts: list[int], check: int = 0) -> list[int]:
    decoder = Decoder(content)
    symbols = [decoder.symbol(starts) for _ in range(count)]
    decoder.finish(check)
    return symbols


SKEWED = starts_of([TOTAL - 40, 1, 30, 8, 1])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=8).flatmap(
        lambda parts: st.tuples(st.just(parts), st.lists(st.integers(0, len(parts)), max_size=200))
    ),
    st.integers(0, 2**32 - 1),
)
def test_what_was_written_is_read_whatever_the_frequencies(given_: tuple[list[int], list[int]], check: int) -> None:
    parts, symbols = given_
    starts = starts_of([*parts, TOTAL - sum(parts)])
    assert read(written(symbols, starts, check), len(symbols), starts, check) == symbols


def test_no_symbols_take_the_four_bytes_of_the_state_alone() -> None:
    assert written([], SKEWED, 5) == (LOWEST + 5).to_bytes(4, "big")
    assert read(written([], SKEWED, 5), 0, SKEWED, 5) == []


def test_the_bytes_of_a_known_message_never_change() -> None:
    assert written([0, 2, 0, 3, 4, 0, 1, 0], SKEWED, 0xABCDEF).hex() == "00beac75d6ff604887"


def test_the_length_is_the_information_of_the_symbols() -> None:
    frequencies = [3000, 700, 300, 96]
    symbols = random.choices(range(4), frequencies, k=20_000)
    bits = sum(math.log2(TOTAL / frequencies[symbol]) for symbol in symbols)
    length = len(written(symbols, starts_of(frequencies))) * 8
    assert bits < length < bits * 1.001 + 40


def test_a_message_cut_anywhere_is_found_out() -> None:
    content = written([0, 1, 2, 3, 4] * 8, SKEWED, 77)
    for length in range(len(content)):
        with pytest.raises(DamagedFile):
            read(content[:length], 40, SKEWED, 77)


def test_bytes_that_follow_are_found_out() -> None:
    with pytest.raises(DamagedFile, match="1 bytes follow"):
        read(written([0, 1], SKEWED) + b"\0", 2, SKEWED)


def test_another_check_sum_is_found_out() -> None:
    with pytest.raises(DamagedFile, match="check sum"):
        read(written([0, 1], SKEWED, 1), 2, SKEWED, 2)

"""An entropy coder in whole numbers: symbols of known frequencies to bytes and back, the same on every machine.

Asymmetric numeral systems in the range variant (Duda, arXiv 1311.2540) with byte-wise renormalisation (Giesen, arXiv
1402.3392). A symbol of frequency f out of ``TOTAL`` costs log2(TOTAL / f) bits. The number in which encoding begins
is free to choose; here it is a check sum, which decoding must arrive at again.
"""

from bisect import bisect_right
from collections.abc import Sequence

from imagemodels.errors import DamagedFile

FREQUENCY_BITS = 12
TOTAL = 1 << FREQUENCY_BITS  # what the frequencies of one table add up to
LOWEST = 1 << 23  # the state lies in [LOWEST, 256 · LOWEST)
STATE_BYTES = 4


def encode(intervals: Sequence[tuple[int, int]], check: int) -> bytes:
    """Return the bytes of symbols, each given by (sum of the frequencies before it, its frequency).

    Of ``check`` the lowest 23 bits are kept. The last symbol is encoded first, as decoding goes the other way.
    """
    state = LOWEST | check % LOWEST
    written = bytearray()
    for start, frequency in reversed(intervals):
        limit = (LOWEST >> FREQUENCY_BITS << 8) * frequency
        while state >= limit:
            written.append(state & 255)
            state >>= 8
        state = (state // frequency << FREQUENCY_BITS) + start + state % frequency
    written += state.to_bytes(STATE_BYTES, "little")
    written.reverse()
    return bytes(written)


class Decoder:
    """Reads the symbols of ``encode`` in their order.  Raises DamagedFile where the bytes cannot be of its making."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = STATE_BYTES
        self._state = int.from_bytes(content[:STATE_BYTES], "big")
        if len(content) < STATE_BYTES:
            raise DamagedFile("it is cut short")
        if not LOWEST <= self._state < LOWEST << 8:
            raise DamagedFile("its codes do not begin as they should")

    def symbol(self, starts: Sequence[int]) -> int:
        """Return the next symbol; ``starts`` are the sums of the frequencies before each symbol, and TOTAL."""
        place = self._state % TOTAL
        found = bisect_right(starts, place) - 1
        start = starts[found]
        self._state = (starts[found + 1] - start) * (self._state >> FREQUENCY_BITS) + place - start
        while self._state < LOWEST:
            self._state = self._state << 8 | self._next_byte()
        return found

    def _next_byte(self) -> int:
        if self._position == len(self._content):
            raise DamagedFile("it is cut short")
        self._position += 1
        return self._content[self._position - 1]

    def finish(self, check: int) -> None:
        """Raise DamagedFile unless all bytes are read and the state is the one in which encoding began."""
        if self._position != len(self._content):
            raise DamagedFile(f"{len(self._content) - self._position} bytes follow its last code")
        if self._state != LOWEST | check % LOWEST:
            raise DamagedFile("its check sum is wrong")

"""Long columns of short values in little more memory than their bytes, so that a million files cost no gigabyte."""

from array import array
from collections.abc import Iterable, Iterator

DIGEST_BYTES = 32  # of a SHA-256


class TextColumn:
    """Texts by number, kept as their UTF-8 bytes one after the other."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes = bytearray()
        self._ends = array("Q")
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add a text at the end.  Raises UnicodeEncodeError for one that is no UTF-8."""
        self._bytes += text.encode()
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: int) -> str:
        start = self._ends[number - 1] if number else 0
        return self._bytes[start : self._ends[number]].decode()

    def __iter__(self) -> Iterator[str]:
        return (self[number] for number in range(len(self)))


class DigestColumn:
    """SHA-256 sums by number, given as 64 hexadecimal digits."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def append(self, digest: bytes) -> None:
        """Add a sum of 32 bytes at the end."""
        assert len(digest) == DIGEST_BYTES
        self._bytes += digest

    def __len__(self) -> int:
        return len(self._bytes) // DIGEST_BYTES

    def __iter__(self) -> Iterator[str]:
        starts = range(0, len(self._bytes), DIGEST_BYTES)
        return (self._bytes[start : start + DIGEST_BYTES].hex() for start in starts)

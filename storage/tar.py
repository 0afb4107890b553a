"""ustar archives written by hand: the same bytes every time, and the offset of every payload.

The standard library's writer costs six times as much and its times and owners differ from run to run. Layout: POSIX.1,
`pax`, "ustar Interchange Format".
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from io import BufferedIOBase

from pixmill.errors import StorageError

BLOCK_BYTES = 512
RECORD_BYTES = 20 * BLOCK_BYTES  # archives end on a whole record
MAX_NAME_BYTES = 100
MAX_PAYLOAD_BYTES = 8**11 - 1  # eleven octal digits

_MODE_TO_OWNERS = b"0000644\0" + b"0000000\0" * 2  # all may read; user 0, group 0
_TIME = b"00000000000\0"
_BLANK_CHECKSUM = b"        "  # the checksum is taken with blanks in its place
_REGULAR_FILE = b"0" + bytes(100) + b"ustar\x0000"
_TAIL = _REGULAR_FILE + bytes(BLOCK_BYTES - 156 - len(_REGULAR_FILE))


class TarWriter:
    """Appends members to a stream; only `write` is asked of it, so the archive can be hashed as it is written."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream = stream
        self.size_bytes = 0

    def add(self, names: Sequence[str], payloads: Sequence[bytes]) -> list[int]:
        """Append members in one write; returns the offset in bytes of each payload from the archive's start.

        Raises StorageError for a name that is not ASCII or longer than 100 bytes, or a payload of 8 GiB or more.
        """
        offsets = []
        parts: list[bytes] = []
        position = self.size_bytes
        for name, payload in zip(names, payloads, strict=True):
            padding = -len(payload) % BLOCK_BYTES
            parts += (member_header(name, len(payload)), payload, bytes(padding))
            offsets.append(position + BLOCK_BYTES)
            position += BLOCK_BYTES + len(payload) + padding
        self._stream.write(b"".join(parts))
        self.size_bytes = position
        return offsets

    def finish(self) -> None:
        """Append the end of the archive: two zero blocks, then zeros to a whole record."""
        end = bytes(2 * BLOCK_BYTES + -(self.size_bytes + 2 * BLOCK_BYTES) % RECORD_BYTES)
        self._stream.write(end)
        self.size_bytes += len(end)


def member_header(name: str, size_bytes: int) -> bytes:
    """Return the block of 512 bytes that precedes a payload; time and owner are zero; raises StorageError as `add`."""
    if not name.isascii() or not 0 < len(name) <= MAX_NAME_BYTES:
        raise StorageError(f"{name!r} cannot name a member of a tar", hint="use 1 to 100 ASCII characters")
    if size_bytes > MAX_PAYLOAD_BYTES:
        raise StorageError(f"{name} has {size_bytes:,} bytes; a ustar member holds {MAX_PAYLOAD_BYTES:,} at most")
    fields, fields_sum = _fixed_fields(size_bytes)
    label = name.encode("ascii")
    return b"%s%s%06o\0 %s" % (label.ljust(MAX_NAME_BYTES, b"\0"), fields, sum(label) + fields_sum, _TAIL)


@lru_cache(maxsize=4096)  # the sizes of small images repeat
def _fixed_fields(size_bytes: int) -> tuple[bytes, int]:
    """Return the fields between name and checksum, and the checksum of the whole block but for its name."""
    fields = b"%s%011o\0%s" % (_MODE_TO_OWNERS, size_bytes, _TIME)
    return fields, sum(fields) + sum(_BLANK_CHECKSUM) + sum(_TAIL)


def read_at(file: BufferedIOBase, offset: int, size_bytes: int) -> bytes:
    """Return a range of an open file; shorter than asked where the file ends."""
    return os.pread(file.fileno(), size_bytes, offset)

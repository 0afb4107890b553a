"""One image's codes as a file: what is written before them, and how they follow one another.

3 bytes  "PMC"
1 byte   version of the format
4 bytes  the first of the model's digest: whose codes these are
…        the codes, entropy-coded: channel by channel, in each row by row
"""

import zlib
from collections.abc import Sequence

import numpy as np

from imagemodels.coding.entropy import Decoder, encode
from imagemodels.coding.tables import Codes, Tables, contexts, cumulative
from imagemodels.errors import DamagedFile

MAGIC = b"PMC"
VERSION = 1
MODEL_BYTES = 4
HEADER_BYTES = len(MAGIC) + 1 + MODEL_BYTES
SUFFIX = ".pmc"


class CodeFormat:
    """Writes and reads the files of one model: its digest, levels and frequencies, and the side of its code map.

    Raises CorruptCheckpoint when the frequencies are none.
    """

    def __init__(self, digest: str, levels: Sequence[int], side: int, tables: Tables) -> None:
        self._header = MAGIC + bytes([VERSION]) + bytes.fromhex(digest)[:MODEL_BYTES]
        self._digest = digest
        self._levels = tuple(levels)
        self._side = side
        self._starts = cumulative(tables, levels)

    def write(self, codes: Codes) -> bytes:
        """Return the file of one image's codes (D, H, W), uint8."""
        flat = codes.ravel().tolist()
        places = contexts(codes[None], max(self._levels)).ravel().tolist()
        size = self._side**2
        intervals = []
        for number, (code, place) in enumerate(zip(flat, places, strict=True)):
            starts = self._starts[number // size][place]
            intervals.append((starts[code], starts[code + 1] - starts[code]))
        return self._header + encode(intervals, zlib.crc32(codes.tobytes()))

    def read(self, content: bytes) -> Codes:
        """Return the codes (D, H, W), uint8, of a file.  Raises DamagedFile, which says what is wrong with it."""
        self._check_header(content)
        decoder = Decoder(content[HEADER_BYTES:])
        codes = np.array([self._channel(decoder, starts) for starts in self._starts], dtype=np.uint8)
        decoder.finish(zlib.crc32(codes.tobytes()))
        return codes

    def _channel(self, decoder: Decoder, starts: list[list[int]]) -> list[list[int]]:
        finest = max(self._levels)
        above = [finest] * self._side
        rows = []
        for _ in range(self._side):
            row: list[int] = []
            left = finest
            for upper in above:
                left = decoder.symbol(starts[upper * (finest + 1) + left])
                row.append(left)
            rows.append(row)
            above = row
        return rows

    def _check_header(self, content: bytes) -> None:
        if not content.startswith(MAGIC):
            raise DamagedFile("it is no compressed image of pixmill")
        if len(content) < HEADER_BYTES:
            raise DamagedFile("it is cut short")
        if content[len(MAGIC)] != VERSION:
            raise DamagedFile(f"it has format {content[len(MAGIC)]}; this pixmill reads {VERSION}")
        if content[:HEADER_BYTES] != self._header:
            found = content[len(MAGIC) + 1 : HEADER_BYTES].hex()
            raise DamagedFile(f"it is of model {found}…, not of {self._digest[:8]}…")

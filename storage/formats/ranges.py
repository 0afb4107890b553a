"""Images that are ranges of bytes in one file."""

import os
from pathlib import Path
from types import TracebackType

from pixmill.errors import CorruptFile
from storage.faults import named_faults
from storage.formats.base import ImageReader
from storage.manifest import ShardRow
from storage.tar import read_at


class RangeReader(ImageReader):
    """Reads them where their rows say.  Raises CorruptFile if the file is missing."""

    def __init__(self, path: Path, what: str) -> None:
        if not path.exists():
            raise CorruptFile(f"{path} is missing", hint="make the shard again")
        self._path, self._what = path, what
        with named_faults(path, "read"):
            self.file = path.open("rb")
            self._size_bytes = os.fstat(self.file.fileno()).st_size

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def holds(self, row: ShardRow) -> bool:
        """Whether the file is long enough."""
        return row.offset + row.size <= self._size_bytes

    def read(self, row: ShardRow) -> bytes:
        """The bytes of the range."""
        if row.offset < 0 or row.size < 1 or not self.holds(row):
            place = f"{row.offset} + {row.size}, {self._what} has {self._size_bytes:,} bytes"
            raise CorruptFile(f"image {row.index} lies at {place}")
        with named_faults(self._path, "read"):
            return read_at(self.file, row.offset, row.size)

"""Format `raw`: the pixels of a shard as one array of NumPy, which may be mapped into memory."""

from io import BytesIO
from pathlib import Path

import numpy as np

from pixmill.errors import StorageError
from storage.atomic import AtomicFile, FileDigest
from storage.batches import EncodedBatch
from storage.faults import named_faults
from storage.formats.base import Beginning, Format, ImageReader, ImageWriter
from storage.formats.ranges import RangeReader
from storage.records import ShardRecord, shard_stem

NAME = "raw"


class Raw(Format):
    """`shard-000123.npy`: uint8 (N, H, W, C); the offset of an image is that of its first byte in the file."""

    name = NAME

    def begin(self, beginning: Beginning) -> ImageWriter:
        """Start a block.  Raises StorageError unless the number of its images is known: the file begins with it."""
        return _Block(beginning)

    def open(self, folder: Path, record: ShardRecord) -> ImageReader:
        """Open a block."""
        return RangeReader(folder / record.tar, "the block")


class _Block(ImageWriter):
    def __init__(self, beginning: Beginning) -> None:
        if beginning.count is None:
            raise StorageError(f"{shard_stem(beginning.number)}: a block begins with the number of its images")
        self._expected, self._count = beginning.count, 0
        self._file = AtomicFile(beginning.path(NAME))

    def add(self, batch: EncodedBatch) -> list[int]:
        with named_faults(self._file.path):
            if not self._count:
                self._file.stream.write(_header((self._expected, *batch.shape)))
            start = self._file.stream.tell()
            self._file.stream.write(b"".join(batch.files))
        self._count += len(batch.files)
        size = len(batch.files[0])
        return [start + size * number for number in range(len(batch.files))]

    def finish(self) -> FileDigest:
        if self._count != self._expected:
            raise StorageError(f"{self._file.path.name} must hold {self._expected} images, {self._count} came")
        return self._file.publish()

    def discard(self) -> None:
        self._file.discard()


def _header(shape: tuple[int, int, int, int]) -> bytes:
    """How a .npy file of uint8 begins (numpy.lib.format, version 1.0)."""
    buffer = BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()

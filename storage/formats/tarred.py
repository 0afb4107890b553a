"""Format `webdataset`: a tar of files in WebDataset's order, with a label beside each on request."""

from pathlib import Path

from storage.atomic import AtomicFile, FileDigest
from storage.batches import EncodedBatch
from storage.faults import named_faults
from storage.formats.base import Beginning, Format, ImageReader, ImageWriter
from storage.formats.ranges import RangeReader
from storage.manifest import ShardRow, image_key
from storage.records import WEBDATASET, ShardRecord
from storage.tar import BLOCK_BYTES, TarWriter, member_header, read_at


class WebDataset(Format):
    """`shard-000123.tar`; the offset of an image is that of its first byte in the archive."""

    name = WEBDATASET

    def begin(self, beginning: Beginning) -> ImageWriter:
        """Start an archive."""
        return _Archive(beginning)

    def open(self, folder: Path, record: ShardRecord) -> ImageReader:
        """Open an archive."""
        return _Members(folder / record.tar, record.ending)


class _Archive(ImageWriter):
    def __init__(self, beginning: Beginning) -> None:
        self._meta, self._ending = beginning.meta, beginning.ending
        self._file = AtomicFile(beginning.path(WEBDATASET))
        self._tar = TarWriter(self._file.stream)

    def add(self, batch: EncodedBatch) -> list[int]:
        keys = [image_key(index) for index in batch.indexes]
        names = [f"{key}.{self._ending}" for key in keys]
        with named_faults(self._file.path):
            if not self._meta.label_files or batch.labels is None:
                return self._tar.add(names, batch.files)
            label_names = [f"{key}.cls" for key in keys]
            labels = [str(label).encode() for label in batch.labels]
            # WebDataset joins neighbours of one key into one sample.
            members = [member for pair in zip(names, label_names, strict=True) for member in pair]
            payloads = [payload for pair in zip(batch.files, labels, strict=True) for payload in pair]
            return self._tar.add(members, payloads)[::2]

    def finish(self) -> FileDigest:
        with named_faults(self._file.path):
            self._tar.finish()
        return self._file.publish()

    def discard(self) -> None:
        self._file.discard()


class _Members(RangeReader):
    def __init__(self, path: Path, ending: str) -> None:
        super().__init__(path, "the archive")
        self._ending = ending

    def framing_problem(self, row: ShardRow) -> str | None:
        start = row.offset - BLOCK_BYTES
        header = read_at(self.file, start, BLOCK_BYTES) if start >= 0 else b""
        fits = header == member_header(f"{image_key(row.index)}.{self._ending}", row.size)
        return None if fits else f"image {row.index} has no fitting member header"

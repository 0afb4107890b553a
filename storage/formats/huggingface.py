"""Format `parquet`: tables with a column of images, as the `datasets` library of Hugging Face reads and writes them."""

import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from pixmill.errors import CorruptFile
from storage.atomic import AtomicFile, FileDigest
from storage.batches import EncodedBatch
from storage.faults import named_faults
from storage.formats.base import Beginning, Format, ImageReader, ImageWriter
from storage.manifest import ShardRow, image_key
from storage.records import ShardRecord

NAME = "parquet"
GROUP_ROWS = 100  # read at a time by whoever wants one image


class Parquet(Format):
    """`shard-000123.images.parquet`: columns image {bytes, path} and label; the offset of an image is its row."""

    name = NAME

    def begin(self, beginning: Beginning) -> ImageWriter:
        """Start a table."""
        return _Table(beginning)

    def open(self, folder: Path, record: ShardRecord) -> ImageReader:
        """Open a table."""
        return _Rows(folder / record.tar)


class _Table(ImageWriter):
    """Groups of rows of one length, however the images come: equal images give equal bytes."""

    def __init__(self, beginning: Beginning) -> None:
        self._meta, self._ending = beginning.meta, beginning.ending
        self._file = AtomicFile(beginning.path(NAME))
        self._writer: Any = None
        self._images: list[dict[str, Any]] = []
        self._labels: list[int] | None = None
        self._count = 0

    def add(self, batch: EncodedBatch) -> range:
        if self._writer is None:
            self._begin(is_labelled=batch.labels is not None)
        names = [f"{image_key(index)}.{self._ending}" for index in batch.indexes]
        self._images += [{"bytes": file, "path": name} for file, name in zip(batch.files, names, strict=True)]
        if self._labels is not None and batch.labels is not None:
            self._labels += batch.labels
        while len(self._images) >= GROUP_ROWS:
            self._write_group()
        self._count += len(batch.files)
        return range(self._count - len(batch.files), self._count)

    def _begin(self, *, is_labelled: bool) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._labels = [] if is_labelled else None
        sink = pa.PythonFile(self._file.stream, mode="w")
        self._schema = _schema(self._meta.class_names, is_labelled=is_labelled)
        # Image files are compressed, and hardly ever the same.
        options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        with named_faults(self._file.path):
            self._writer = pq.ParquetWriter(sink, self._schema, **options)

    def _write_group(self) -> None:
        import pyarrow as pa

        columns: dict[str, Any] = {"image": self._images[:GROUP_ROWS]}
        self._images = self._images[GROUP_ROWS:]
        if self._labels is not None:
            columns["label"], self._labels = self._labels[:GROUP_ROWS], self._labels[GROUP_ROWS:]
        with named_faults(self._file.path):
            self._writer.write_table(pa.table(columns, schema=self._schema))

    def finish(self) -> FileDigest:
        if self._images:
            self._write_group()
        with named_faults(self._file.path):
            self._writer.close()
        return self._file.publish()

    def discard(self) -> None:
        if self._writer is not None and self._writer.is_open:
            # Else it would try to when it is garbage, with nobody there to hear why it cannot.
            with suppress(OSError, ValueError):
                self._writer.close()
        self._file.discard()


def _schema(class_names: tuple[str, ...], *, is_labelled: bool) -> Any:
    """The columns, and what `datasets` has to know of them, where it looks for it."""
    import pyarrow as pa

    columns = [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if is_labelled:
        columns.append(("label", pa.int64()))
        names = {"names": list(class_names), "_type": "ClassLabel"}
        features["label"] = names if class_names else {"dtype": "int64", "_type": "Value"}
    return pa.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})


class _Rows(ImageReader):
    """Reads group by group, and keeps the last one."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(path)
        except FileNotFoundError as error:
            raise CorruptFile(f"{path} is missing", hint="make the shard again") from error
        except (pa.ArrowException, OSError) as error:
            raise CorruptFile(f"{path} is no readable Parquet file: {error}", hint="make the shard again") from error
        self._count: int = self._file.metadata.num_rows
        self._group = lru_cache(maxsize=1)(self._read_group)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def holds(self, row: ShardRow) -> bool:
        return 0 <= row.offset < self._count

    def read(self, row: ShardRow) -> bytes:
        if not self.holds(row):
            raise CorruptFile(f"image {row.index} lies in row {row.offset}, of {self._count:,}")
        group, place = divmod(row.offset, GROUP_ROWS)
        images = self._group(group)
        content: bytes | None = images[place].as_py()["bytes"] if place < len(images) else None
        if content is None:
            raise CorruptFile(f"image {row.index} lies in row {row.offset}, which holds none")
        return content

    def _read_group(self, number: int) -> Any:
        import pyarrow as pa

        try:
            return self._file.read_row_group(number, columns=["image"], use_threads=False).column("image")
        except (pa.ArrowException, OSError, IndexError) as error:
            raise CorruptFile(f"rows from {number * GROUP_ROWS} on cannot be read: {error}") from error

"""Format `files`: a file an image, in a folder for each class.

files/cat/000000007.png    with labels; without, files/000000007.png

All shards share the folder, so that it is what loaders of image folders expect.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from pixmill.errors import CorruptFile
from storage.atomic import TEMPORARY_SUFFIX, FileDigest, sync_file, sync_folder
from storage.batches import EncodedBatch
from storage.faults import named_faults
from storage.formats.base import Beginning, Format, ImageReader, ImageWriter, NamedDigest
from storage.manifest import ShardRow, image_key, read_manifest, read_metadata
from storage.records import FILES_FOLDER, ShardRecord, shard_stem

NAME = "files"

_FOLDER_NAME = re.compile(r"[^/\0.\s][^/\0]*")
_MAX_NAME_BYTES = 255


class Files(Format):
    """A file an image. Its offset is 0; the hash of a shard is that of the list of its files."""

    name = NAME
    stray_pattern = f"{FILES_FOLDER}/**/*"

    def begin(self, beginning: Beginning) -> ImageWriter:
        """Start a shard, in a folder of another name."""
        return _Folder(beginning)

    def open(self, folder: Path, record: ShardRecord) -> ImageReader:
        """Find the files of a shard."""
        return _Files(folder, record)

    def files(self, folder: Path, record: ShardRecord) -> Sequence[NamedDigest]:
        """The files, as the table of the shard lists them."""
        name_of = _Names(_class_names(folder, record), record.ending)
        rows = read_manifest(folder / record.parquet)
        return [NamedDigest(name_of(row.index, row.label), row.sha256.hex(), row.size) for row in rows]

    def problems(self, folder: Path, record: ShardRecord) -> Iterator[str]:
        """One line if the table lists other files than those recorded; of the files, `open` tells."""
        try:
            listed = _digest(self.files(folder, record))
        except CorruptFile:
            return  # whoever reads the table says so
        if (listed.sha256, listed.size_bytes) != (record.tar_sha256, record.tar_bytes):
            yield f"{record.parquet} lists other files than those recorded"


class _Names:
    """Where the file of an image lies, below the folder of the shard."""

    def __init__(self, class_names: Sequence[str], ending: str) -> None:
        usable = all(_FOLDER_NAME.fullmatch(name) and len(name.encode()) <= _MAX_NAME_BYTES for name in class_names)
        self._folders = list(class_names) if usable else [f"class-{n:04d}" for n in range(len(class_names))]
        self._ending = ending

    def __call__(self, index: int, label: int | None) -> str:
        file = f"{image_key(index)}.{self._ending}"
        if label is None:
            return f"{FILES_FOLDER}/{file}"
        known = 0 <= label < len(self._folders)
        return f"{FILES_FOLDER}/{self._folders[label] if known else label}/{file}"


def _class_names(folder: Path, record: ShardRecord) -> list[str]:
    names: list[str] = json.loads(read_metadata(folder / record.parquet)["class_names"])
    return names


def _digest(files: Sequence[NamedDigest]) -> FileDigest:
    """Of a list as `sha256sum` prints it, and the bytes of all files."""
    lines = "".join(f"{file.sha256}  {file.name}\n" for file in files)
    return FileDigest(hashlib.sha256(lines.encode()).hexdigest(), sum(file.size_bytes for file in files))


class _Folder(ImageWriter):
    """Collects the files below a hidden folder, and moves them when all are durable."""

    def __init__(self, beginning: Beginning) -> None:
        self._name_of = _Names(beginning.meta.class_names, beginning.ending)
        self._target = beginning.folder
        unique = f"{os.getpid()}-{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
        self._hidden = beginning.folder / f".{shard_stem(beginning.number)}.{unique}"
        self._written: list[NamedDigest] = []
        with named_faults(self._target):
            self._hidden.mkdir(parents=True)

    def add(self, batch: EncodedBatch) -> list[int]:
        labels: Sequence[int | None] = batch.labels or [None] * len(batch.files)
        with named_faults(self._target / FILES_FOLDER):
            for index, label, content in zip(batch.indexes, labels, batch.files, strict=True):
                name = self._name_of(index, label)
                path = self._hidden / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                self._written.append(NamedDigest(name, hashlib.sha256(content).hexdigest(), len(content)))
        return [0] * len(batch.files)

    def finish(self) -> FileDigest:
        with named_faults(self._target / FILES_FOLDER):
            # All at the end: what was written meanwhile is on the disk by then, for the most part.
            for file in self._written:
                sync_file(self._hidden / file.name)
            folders = {(self._target / file.name).parent for file in self._written}
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            for file in self._written:
                (self._hidden / file.name).replace(self._target / file.name)
            for folder in (*folders, self._target / FILES_FOLDER, self._target):
                sync_folder(folder)
        self.discard()
        return _digest(self._written)

    def discard(self) -> None:
        with named_faults(self._hidden, "remove"):
            if self._hidden.exists():
                shutil.rmtree(self._hidden)


class _Files(ImageReader):
    def __init__(self, folder: Path, record: ShardRecord) -> None:
        if not (folder / FILES_FOLDER).is_dir():
            raise CorruptFile(f"{folder / FILES_FOLDER} is missing", hint="make the shard again")
        self._folder = folder
        self._name_of = _Names(_class_names(folder, record), record.ending)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def holds(self, row: ShardRow) -> bool:  # noqa: ARG002  a file has room for itself
        return True

    def read(self, row: ShardRow) -> bytes:
        name = self._name_of(row.index, row.label)
        path = self._folder / name
        if not path.is_file():
            raise CorruptFile(f"{name} is missing")
        with named_faults(path, "read"):
            return path.read_bytes()

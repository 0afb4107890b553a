"""Proof that a data set on disk is the one that was recorded: every file, every row, every image."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from pixmill.errors import CorruptFile, PixmillError, StorageError
from storage.animations import animation_problems
from storage.atomic import sha256_file
from storage.faults import named_faults
from storage.index import FILE_NAME, range_problems, read_dataset_index
from storage.manifest import ShardRow, image_key, read_manifest
from storage.markers import read_marker
from storage.png import decode_png
from storage.records import ShardRecord
from storage.shards import read_payload
from storage.tar import BLOCK_BYTES, member_header, read_at

Progress = Callable[[int, int], None]  # images looked at, images recorded

PROGRESS_IMAGES = 1000  # between two reports of progress

_SHARD_FILE = re.compile(r"shard-(\d{6,})\.(tar|parquet|json)")


@dataclass(frozen=True)
class VerifyReport:
    """The outcome of a verification: how much was looked at, and one line for each problem."""

    images: int
    shards: int
    problems: tuple[str, ...]

    @property
    def is_intact(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problems


def verify_output(
    output_folder: Path, records: Iterable[ShardRecord], progress: Progress | None = None
) -> VerifyReport:
    """Compare a data set with its records: hashes of files and images, headers, indexes, and that each image decodes.

    Never stops at a problem and raises none; images that are missing in a row are one line. `progress` is called now
    and then, and at the end.
    """
    ordered = sorted(records, key=lambda record: record.number)
    counter = _Counter(sum(record.count for record in ordered), progress)
    problems = [
        *range_problems(ordered),
        *_stray_files(output_folder, ordered),
        *_index_problems(output_folder, ordered),
        *animation_problems(output_folder),
    ]
    for record in ordered:
        try:
            problems.extend(_shard_problems(output_folder, record, counter))
        except PixmillError as error:  # a file that cannot be read at all; the next shard may be fine
            problems.append(error.message)
    counter.report()
    return VerifyReport(counter.images, len(ordered), tuple(problems))


class _Counter:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self.images = 0
        self._total = total
        self._progress = progress

    def advance(self) -> None:
        self.images += 1
        if self.images % PROGRESS_IMAGES == 0:
            self.report()

    def report(self) -> None:
        if self._progress:
            self._progress(self.images, self._total)


def _stray_files(folder: Path, ordered: Sequence[ShardRecord]) -> Iterator[str]:
    numbers = {record.number for record in ordered}
    for path in sorted(folder.glob("shard-*")):
        match = _SHARD_FILE.fullmatch(path.name)
        if not match or int(match[1]) not in numbers:
            yield f"{path.name} belongs to no recorded shard"


def _index_problems(folder: Path, ordered: Sequence[ShardRecord]) -> Iterator[str]:
    if not (folder / FILE_NAME).exists():
        return  # the data set is still being made
    try:
        if read_dataset_index(folder).shards != tuple(ordered):
            yield f"{FILE_NAME} lists other shards than those recorded"
    except StorageError as error:
        yield error.message


def _shard_problems(folder: Path, record: ShardRecord, counter: _Counter) -> Iterator[str]:
    yield from _file_problems(folder / record.tar, record.tar_sha256, record.tar_bytes)
    yield from _file_problems(folder / record.parquet, record.parquet_sha256, record.parquet_bytes)
    try:
        if read_marker(folder, record.number).record != record:
            yield f"{record.marker} describes other bytes than those recorded"
    except StorageError as error:
        yield error.message
    try:
        rows = read_manifest(folder / record.parquet)
    except CorruptFile as error:
        if (folder / record.parquet).exists():
            yield error.message
        return
    yield from _row_problems(rows, record)
    yield from _archive_problems(folder / record.tar, rows, counter)


def _file_problems(path: Path, sha256: str, size_bytes: int) -> Iterator[str]:
    if not path.is_file():
        yield f"{path.name} is missing"
    elif path.stat().st_size != size_bytes:
        yield f"{path.name} has {path.stat().st_size:,} bytes, recorded {size_bytes:,}"
    elif sha256_file(path) != sha256:
        yield f"{path.name} has changed: its SHA-256 is not the one recorded"


def _row_problems(rows: Sequence[ShardRow], record: ShardRecord) -> Iterator[str]:
    found = Counter(row.index for row in rows)
    expected = range(record.first_index, record.first_index + record.count)
    doubled = [index for index, times in found.items() if times > 1]
    for words, indexes in (
        ("missing from the table", [index for index in expected if index not in found]),
        ("in the table more than once", doubled),
        ("in the table of a shard that does not hold them", [index for index in found if index not in expected]),
    ):
        for first, last in _runs(sorted(indexes)):
            yield f"{record.parquet}: {_images_text(first, last)} {words}"
    for row in rows:
        if row.key != image_key(row.index):
            yield f"{record.parquet}: image {row.index} has the key {row.key!r}"


def _archive_problems(path: Path, rows: Sequence[ShardRow], counter: _Counter) -> Iterator[str]:
    if not path.is_file():
        return
    beyond = []
    size_bytes = path.stat().st_size
    with named_faults(path, "read"), path.open("rb") as file:
        for row in rows:
            counter.advance()
            if row.offset + row.size > size_bytes:
                beyond.append(row.index)
            elif problem := _image_problem(file, row):
                yield f"{path.name}: {problem}"
    for first, last in _runs(sorted(set(beyond))):
        yield f"{path.name}: {_images_text(first, last)} beyond the end of the archive"


def _image_problem(file: BufferedReader, row: ShardRow) -> str | None:
    try:
        payload = read_payload(file, row)
    except CorruptFile as error:
        return error.message
    header = read_at(file, row.offset - BLOCK_BYTES, BLOCK_BYTES) if row.offset >= BLOCK_BYTES else b""
    if header != member_header(f"{image_key(row.index)}.png", row.size):
        return f"image {row.index} has no fitting member header"
    try:
        pixels = decode_png(payload)
    except CorruptFile as error:
        return f"image {row.index}: {error.message}"
    if pixels.shape[:2] != (row.height, row.width):
        return f"image {row.index} is {pixels.shape[1]} × {pixels.shape[0]}, its row says {row.width} × {row.height}"
    return None


def _runs(indexes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each unbroken run of sorted, distinct numbers."""
    start = previous = None
    for index in indexes:
        if start is None or previous is None or index != previous + 1:
            if start is not None and previous is not None:
                yield start, previous
            start = index
        previous = index
    if start is not None and previous is not None:
        yield start, previous


def _images_text(first: int, last: int) -> str:
    return f"image {first} is" if first == last else f"images {first} to {last} are"

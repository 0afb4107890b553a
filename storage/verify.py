"""Proof that a data set on disk is the one that was recorded: every file, every row, every image."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pixmill.errors import CorruptFile, DiskFull, StorageError
from storage.animations import animation_problems
from storage.encoders import decode
from storage.formats.base import ImageReader, file_problems
from storage.formats.table import FORMATS
from storage.index import range_problems, read_dataset_index
from storage.manifest import ShardRow, image_key, read_manifest
from storage.markers import ShardMarker, read_marker
from storage.places import INDEX_FILE, WHOLE, Place, at_hand, beside, named
from storage.records import ShardRecord
from storage.shards import read_payload

Progress = Callable[[int, int], None]  # images looked at, images recorded

PROGRESS_IMAGES = 1000  # between two reports of progress

_SHARD_FILE = re.compile(r"shard-(\d{6,})\.(tar|npy|images\.parquet|parquet|json)")


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


def verify_output(place: Place, records: Iterable[ShardRecord], progress: Progress | None = None) -> VerifyReport:
    """Compare a data set with its records: hashes of files and images, headers, indexes, and that each image decodes.

    Never stops at a problem of the data set itself; images that are missing in a row are one line. `progress` is called
    now and then, and at the end. What says nothing of the content is raised: NotFound for a bucket that is not there,
    StoreUnreachable, PermissionDenied, ConfigError, and DiskFull where there is no room for what is fetched.
    """
    ordered = sorted(records, key=lambda record: record.number)
    counter = _Counter(sum(record.count for record in ordered), progress)
    problems = [
        *range_problems(ordered),
        *(_stray_files(place, ordered) if isinstance(place, Path) else ()),  # a bucket's are left to `gc`
    ]
    with _telling(problems):
        folder = beside(place)
        problems.extend(_index_problems(folder, ordered))
        problems.extend(animation_problems(folder))
    for record in ordered:
        with _telling(problems):  # the next shard may be fine
            problems.extend(_shard_problems(place, record, counter))
    counter.report()
    return VerifyReport(counter.images, len(ordered), tuple(problems))


@contextmanager
def _telling(problems: list[str]) -> Iterator[None]:
    """Add what is wrong with files that cannot be read at all.  Raises what is no fault of theirs."""
    try:
        yield
    except DiskFull:
        raise
    except StorageError as error:
        problems.append(error.message)


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
    for name in sorted({record.format for record in ordered}):
        if (pattern := FORMATS[name].stray_pattern) is not None:
            of_format = [record for record in ordered if record.format == name]
            yield from _strangers(folder, pattern, of_format)


def _strangers(folder: Path, pattern: str, records: Sequence[ShardRecord]) -> Iterator[str]:
    """What lies where a format keeps the images of all shards, and is none of them."""
    try:
        known = {folder / file.name for record in records for file in FORMATS[record.format].files(folder, record)}
    except CorruptFile:
        return  # whoever reads the table says so
    for path in sorted(path for path in folder.glob(pattern) if path.is_file() and path not in known):
        yield f"{path.relative_to(folder)} belongs to no recorded shard"


def _index_problems(folder: Path, ordered: Sequence[ShardRecord]) -> Iterator[str]:
    if not (folder / INDEX_FILE).exists():
        return  # the data set is still being made
    try:
        if read_dataset_index(folder).shards != tuple(ordered):
            yield f"{INDEX_FILE} lists other shards than those recorded"
    except StorageError as error:
        yield error.message


def _shard_problems(place: Place, record: ShardRecord, counter: _Counter) -> Iterator[str]:
    folder = at_hand(place, record.number, *WHOLE)
    yield from FORMATS[record.format].problems(folder, record)
    yield from file_problems(folder / record.parquet, record.parquet_sha256, record.parquet_bytes)
    marker = None
    try:
        marker = read_marker(place, record.number)
        if marker.record != record:
            yield f"{record.marker} describes other bytes than those recorded"
    except StorageError as error:
        yield error.message
    try:
        rows = read_manifest(folder / record.parquet, named(place, record.number, record.parquet))
    except CorruptFile as error:
        if (folder / record.parquet).exists():
            yield error.message
        return
    yield from _row_problems(rows, record)
    yield from _archive_problems(folder, record, marker, rows, counter)


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


def _archive_problems(
    folder: Path, record: ShardRecord, marker: ShardMarker | None, rows: Sequence[ShardRow], counter: _Counter
) -> Iterator[str]:
    if not (folder / record.tar).exists():
        return
    beyond = []
    channels = None if marker is None else marker.channels
    with FORMATS[record.format].open(folder, record) as reader:
        for row in rows:
            counter.advance()
            if not reader.holds(row):
                beyond.append(row.index)
            elif problem := _image_problem(reader, row, record.ending, channels):
                yield f"{record.tar}: {problem}"
    for first, last in _runs(sorted(set(beyond))):
        yield f"{record.tar}: {_images_text(first, last)} beyond the end of the archive"


def _image_problem(reader: ImageReader, row: ShardRow, ending: str, channels: int | None) -> str | None:
    try:
        payload = read_payload(reader, row)
    except CorruptFile as error:
        return error.message
    if problem := reader.framing_problem(row):
        return problem
    try:
        decode(payload, ending, row.height, row.width, channels)
    except CorruptFile as error:
        return f"image {row.index}: {error.message}"
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

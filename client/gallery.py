"""Images of a finished data set, found by their numbers or their class, wherever its shards lie."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from client.outputs import Output, read_output
from client.workspace import Workspace
from pixmill.errors import NotFound

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from storage.manifest import ShardRow
    from storage.markers import ShardMarker
    from storage.places import Place
    from storage.records import ShardRecord

OPEN_OUTPUTS = 8  # of whose shards in a bucket one each is at hand
HELD_TABLES = 4  # of shards
CONTENT_TYPES = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}


@dataclass(frozen=True)
class Found:
    """A data set that is there: its job's output, its shards, and the names of its classes."""

    output: Output
    records: Sequence["ShardRecord"]

    @property
    def images(self) -> int:
        """How many it has."""
        return sum(record.count for record in self.records)

    def record_of(self, index: int) -> "ShardRecord":
        """The shard that holds an image.  Raises NotFound."""
        for record in self.records:
            if record.first_index <= index < record.first_index + record.count:
                return record
        hint = f"its images are 0 to {self.images - 1:,}" if self.images else "it has none"
        raise NotFound(f"output {self.output.job_id} has no image {index}", hint=hint)


@dataclass(frozen=True)
class Picture:
    """An image file, as it is stored."""

    content: bytes
    media_type: str
    sha256: str  # of what is stored


class _Opened:
    """Where a data set lies, for one reader at a time."""

    def __init__(self, place: "Place") -> None:
        self.place = place
        self.lock = threading.Lock()

    def close(self) -> None:
        """Remove what was fetched, when its last reader has done."""
        from storage.places import let_go

        with self.lock:
            let_go(self.place)


class Gallery:
    """Finds images; what it has fetched from a bucket stays until something else is wanted.  For threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._opened: OrderedDict[int, _Opened] = OrderedDict()
        self._tables: OrderedDict[tuple[int, str], list[ShardRow]] = OrderedDict()

    def find(self, session: "Session", job_id: int) -> Found:
        """The data set of a job.  Raises NotFound, and Conflict while it is not complete."""
        from db.views import job_shards
        from storage.records import ShardRecord

        output = read_output(session, self._workspace, job_id).require_dataset()
        return Found(output, [ShardRecord.from_json(row.record) for row in job_shards(session, job_id)])

    def rows(self, found: Found, start: int, count: int, label: int | None = None) -> list["ShardRow"]:
        """At most `count` rows from image `start` on, of one class if that is wanted.  Raises CorruptFile."""
        chosen: list[ShardRow] = []
        for record in found.records:
            if record.first_index + record.count <= start:
                continue
            here = self._rows_of(found, record)[max(0, start - record.first_index) :]
            chosen += [row for row in here if label is None or row.label == label]
            if len(chosen) >= count:
                break
        return chosen[:count]

    def row(self, found: Found, index: int) -> "ShardRow":
        """The row of one image.  Raises NotFound or CorruptFile."""
        record = found.record_of(index)
        return self._rows_of(found, record)[index - record.first_index]

    def marker(self, found: Found) -> "ShardMarker":
        """What was written down of the first shard: class names, encoder, size.  Raises CorruptFile."""
        from storage.markers import read_marker

        with self._place(found) as place:
            return read_marker(place, found.records[0].number)

    def picture(self, found: Found, index: int) -> Picture:
        """The bytes of one image, which are those of its row; pixels without a file become a PNG.

        Raises NotFound; CorruptFile where they have changed.
        """
        from storage.encoders import PIXELS
        from storage.formats.table import FORMATS
        from storage.markers import read_marker
        from storage.places import at_hand
        from storage.png import encode_batch
        from storage.shards import decode_row, read_payload

        record, row = found.record_of(index), self.row(found, index)
        with self._place(found) as place:
            folder = at_hand(place, record.number, "tar", "parquet")
            with FORMATS[record.format].open(folder, record) as reader:
                content = read_payload(reader, row)
            if record.ending == PIXELS:
                pixels = decode_row(row, content, read_marker(place, record.number))
                return Picture(encode_batch(pixels[None])[0], "image/png", row.sha256.hex())
        return Picture(content, CONTENT_TYPES[record.ending], row.sha256.hex())

    def animations(self, found: Found) -> list[str]:
        """Names of the animated WebP files beside the images.  Raises CorruptFile."""
        from storage.animations import animation_stem, read_animation_index
        from storage.places import beside

        if not found.output.result.get("animations"):
            return []
        with self._place(found) as place:
            return [f"{animation_stem(record.number)}.webp" for record in read_animation_index(beside(place))]

    def animation(self, found: Found, number: int) -> bytes:
        """One of them.  Raises NotFound."""
        names = self.animations(found)
        if number >= len(names):
            raise NotFound(f"output {found.output.job_id} has no animation {number}", hint=f"it has {len(names)}")
        return self._beside(found, names[number])

    def contact_sheet(self, found: Found) -> bytes:
        """The picture of its first images.  Raises NotFound."""
        return self._beside(found, "contact-sheet.png")

    def _beside(self, found: Found, name: str) -> bytes:
        from storage.faults import named_faults
        from storage.places import beside

        with self._place(found) as place:
            path = beside(place) / name
            if not path.is_file():
                raise NotFound(f"output {found.output.job_id} has no {name}")
            with named_faults(path, "read"):
                return path.read_bytes()

    def _rows_of(self, found: Found, record: "ShardRecord") -> list["ShardRow"]:
        from storage.shards import read_rows

        key = (found.output.job_id, record.parquet_sha256)
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
                return self._tables[key]
        with self._place(found) as place:
            rows = read_rows(place, record.number)
        with self._lock:
            self._tables[key] = rows
            while len(self._tables) > HELD_TABLES:
                self._tables.popitem(last=False)
        return rows

    @contextmanager
    def _place(self, found: Found) -> "Iterator[Place]":
        """Where the data set lies; nobody else reads there while the block lasts, if it has to be fetched."""
        if isinstance(found.output.place, Path):
            yield found.output.place
            return
        opened = self._open(found)
        with opened.lock:
            yield opened.place

    def _open(self, found: Found) -> _Opened:
        job_id, place = found.output.job_id, found.output.place
        with self._lock:
            opened = self._opened.get(job_id)
            if opened is None or str(opened.place) != str(place):
                opened = self._opened[job_id] = _Opened(place)
            self._opened.move_to_end(job_id)
            while len(self._opened) > OPEN_OUTPUTS:
                self._opened.popitem(last=False)[1].close()
            return opened

"""Files that rows vouch for: whether they are there, with their sizes, and (when asked) with their very bytes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from cli.doctor.findings import Finding, ok, problem
from cli.doctor.stored import StoredShards
from client.wording import count, size
from db.engine import Database
from db.references import checkpoints_after, outputs_after, shards_after, still_there, versions_after
from db.tables.models import ModelVersion
from db.tables.published import Checkpoint, Shard
from imagemodels.card import CARD_FILE, WEIGHTS_FILE, read_card
from imagemodels.errors import CorruptCheckpoint
from pixmill.errors import CorruptFile, PixmillError
from storage.atomic import sha256_file
from storage.formats.base import NamedDigest
from storage.formats.table import FORMATS
from storage.paths import Layout
from storage.places import INDEX_FILE
from storage.records import ShardRecord
from storage.s3.bucket import is_url

PAGE_ROWS = 500  # read at a time: memory stays flat
SHOWN = 3  # faults that a line names

Row = TypeVar("Row", Checkpoint, Shard, ModelVersion)


@dataclass
class Inspection:
    """What was found about one kind of file."""

    files: int = 0
    size_bytes: int = 0
    faults: int = 0
    shown: list[str] = field(default_factory=list)
    job_id: int | None = None  # of the first fault

    def add_fault(self, text: str, job_id: int | None) -> None:
        """Note one that is not as it was recorded; two rows may need one file."""
        if text in self.shown:
            return
        self.faults += 1
        self.job_id = self.job_id or job_id
        if len(self.shown) < SHOWN:
            self.shown.append(text)


class RecordedFiles:
    """Looks for the files of all rows, page by page."""

    def __init__(self, database: Database, root: Path, endpoint: str | None = None, *, deep: bool) -> None:
        self._database = database
        self._stored = StoredShards(endpoint, deep=deep)
        self._layout = Layout(root)
        self._deep = deep

    def examine(self) -> Iterator[Finding]:
        """A line for each kind.  Raises DatabaseUnreachable."""
        remedies = {
            "checkpoints": "restore them from a copy; else a job goes on from an earlier one, or from the start",
            "shards": "restore them from outputs/, or make the images again: pixmill job show {job} --spec",
            "models": "restore them from a copy, or train again: pixmill job show {job} --spec",
            "outputs": "pixmill output verify {job}",
        }
        for name, inspection in self._inspect():
            looked = "hashes are right" if self._deep else "sizes are right; --deep reads them"
            if inspection.faults:
                more = f", and {inspection.faults - SHOWN:,} more" if inspection.faults > SHOWN else ""
                detail = f"{inspection.faults:,} of {inspection.files:,}: {'; '.join(inspection.shown)}{more}"
                yield problem(name, detail, remedies[name].format(job=inspection.job_id))
            else:
                total = f"{count(inspection.files)} files, {size(inspection.size_bytes)}"
                yield ok(name, f"{total}: all there, {looked}" if inspection.files else "none yet")

    def _inspect(self) -> Iterator[tuple[str, Inspection]]:
        checkpoints, shards, models, outputs = (Inspection() for _ in range(4))
        for page in self._pages(checkpoints_after):
            self._look(page, Checkpoint, checkpoints, self._checkpoint_faults)
        yield "checkpoints", checkpoints
        for shard_page in self._pages(shards_after):
            self._look(shard_page, Shard, shards, self._shard_faults)
            self._look(shard_page, Shard, outputs, self._output_faults)
        yield "shards", shards
        for version_page in self._pages(versions_after):
            self._look(version_page, ModelVersion, models, self._model_faults)
        yield "models", models
        self._look_for_indexes(outputs)
        yield "outputs", outputs

    def _pages(self, read: Callable[[Session, int, int], Sequence[Row]]) -> Iterator[Sequence[Row]]:
        last = 0
        while True:
            with self._database.read() as session:
                page = read(session, last, PAGE_ROWS)
            if not page:
                return
            yield page
            last = page[-1].id

    def _look(
        self,
        page: Iterable[Row],
        table: type[Row],
        inspection: Inspection,
        faults_of: Callable[[Row, Inspection], Iterable[str]],
    ) -> None:
        suspects = {row.id: (row, found) for row in page if (found := list(faults_of(row, inspection)))}
        if not suspects:
            return
        with self._database.read() as session:  # a row that went meanwhile took its file along
            remaining = still_there(session, table, suspects)
        for row_id in sorted(remaining):
            row, found = suspects[row_id]
            for text in found:
                inspection.add_fault(text, getattr(row, "job_id", None))

    def _checkpoint_faults(self, row: Checkpoint, inspection: Inspection) -> Iterator[str]:
        yield from self._faults(row.path, row.size_bytes, row.sha256, inspection)

    def _shard_faults(self, row: Shard, inspection: Inspection) -> Iterator[str]:
        if is_url(row.folder):
            yield from self._stored_faults(row, inspection)
        else:
            yield from self._shard_files(row, row.folder, inspection, hashed=True)

    def _stored_faults(self, row: Shard, inspection: Inspection) -> Iterator[str]:
        for url, found, recorded in self._stored.sizes(row):
            inspection.files += 1
            inspection.size_bytes += found or 0
            if found is None:
                yield f"{url} is missing"
            elif recorded is not None and found != recorded:
                yield f"{url} has {found:,} bytes, recorded {recorded:,}"
        yield from (f"{url} has changed since it was recorded" for url in self._stored.changed(row))

    def _output_faults(self, row: Shard, inspection: Inspection) -> Iterator[str]:
        if is_url(row.folder):
            return  # the shards themselves are the data set
        folder = self._layout.output_folder(row.job_id)
        if (folder / INDEX_FILE).exists():  # else it is not put together yet, or `_look_for_indexes` tells
            yield from self._shard_files(row, self._layout.relative(folder), inspection, hashed=False)

    def _shard_files(self, row: Shard, folder: str, inspection: Inspection, *, hashed: bool) -> Iterator[str]:
        try:
            record = ShardRecord.from_json(row.record)
            table = NamedDigest(record.parquet, record.parquet_sha256, record.parquet_bytes)
            files = [*FORMATS[record.format].files(self._layout.resolve(folder), record), table]
        except CorruptFile as error:
            yield f"shard {row.number} of job {row.job_id}: {error.message}"
            return
        for file in files:
            path, recorded = self._layout.root / folder / file.name, self._layout.root / row.folder / file.name
            # A data set's files are those of the attempts under other names, unless they had to be copied.
            is_same = not hashed and _is_same(path, recorded)
            sha256 = None if is_same else file.sha256
            yield from self._faults(f"{folder}/{file.name}", file.size_bytes, sha256, inspection)
        yield from self._faults(f"{folder}/{record.marker}", None, None, inspection)

    def _model_faults(self, row: ModelVersion, inspection: Inspection) -> Iterator[str]:
        weights = f"{row.folder}/{WEIGHTS_FILE}"
        try:
            card = read_card(self._layout.resolve(row.folder))
        except (CorruptCheckpoint, PixmillError) as error:
            inspection.files += 1
            yield str(error)
        else:
            if card.digest != row.digest:
                yield f"{row.folder}/{CARD_FILE} describes another model"
            yield from self._faults(weights, None, card.weights_sha256, inspection)

    def _look_for_indexes(self, outputs: Inspection) -> None:
        last = 0
        while True:
            with self._database.read() as session:
                page = outputs_after(session, last, PAGE_ROWS)
            if not page:
                return
            for job_id in page:
                outputs.files += 1
                if job_id in self._stored.jobs:
                    path, is_there = f"{self._stored.jobs[job_id]}/{INDEX_FILE}", self._stored.has_index(job_id)
                else:
                    file = self._layout.output_folder(job_id) / INDEX_FILE
                    path, is_there = self._layout.relative(file), file.is_file()
                if not is_there:
                    outputs.add_fault(f"{path} is missing", job_id)
            last = page[-1]

    def _faults(self, path: str, size_bytes: int | None, sha256: str | None, inspection: Inspection) -> Iterator[str]:
        inspection.files += 1
        try:
            file = self._layout.resolve(path)
            found = file.stat().st_size
        except PixmillError as error:
            yield error.message
            return
        except OSError as error:
            yield f"{path} is missing" if isinstance(error, FileNotFoundError) else f"{path}: {error.strerror}"
            return
        inspection.size_bytes += found
        if size_bytes is not None and found != size_bytes:
            yield f"{path} has {found:,} bytes, recorded {size_bytes:,}"
        elif self._deep and sha256 is not None and sha256_file(file) != sha256:
            yield f"{path} has changed since it was recorded"


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False

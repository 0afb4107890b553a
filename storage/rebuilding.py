"""Shards that are there, whatever the database says: found by their markers, and proven by their hashes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pixmill.errors import CorruptFile
from storage.atomic import sha256_file
from storage.formats.base import NamedDigest
from storage.formats.table import FORMATS
from storage.garbage.finding import list_attempts
from storage.garbage.folders import AttemptFolder
from storage.markers import ShardMarker, find_markers
from storage.outputs import link_shard
from storage.paths import Layout
from storage.places import WHOLE, attempt_url, in_bucket
from storage.records import ShardRecord
from storage.s3.bucket import Bucket
from storage.s3.garbage import OutputsBucket


@dataclass(frozen=True)
class FoundShard:
    """A complete shard, and the attempt whose it is."""

    folder: AttemptFolder
    marker: ShardMarker
    lies_in: Path | None = None  # that folder, or the one of the data set; None: in a bucket
    url: str | None = None

    @property
    def place(self) -> str:
        """Where its row has to say that it lies."""
        return self.url or self.folder.path


def find_shards(layout: Layout, job_id: int) -> Iterator[FoundShard]:
    """The shards with a marker that attempts of a job have left, the newest attempts first; not proven yet."""
    attempts = list_attempts(layout.root, job_id).attempts
    for folder in sorted(attempts, key=lambda attempt: (attempt.task_id, -attempt.epoch)):
        for marker in find_markers(layout.root / folder.path):
            yield FoundShard(folder, marker, layout.root / folder.path)


def find_assembled(layout: Layout, job_id: int) -> list[ShardMarker]:
    """The shards with a marker in the folder of the data set; not proven yet."""
    return find_markers(layout.output_folder(job_id))


def find_stored(outputs: str, endpoint: str | None, job_id: int, scratch: Path) -> Iterator[FoundShard]:
    """The same in a bucket; markers are fetched into `scratch`.  Raises as `Bucket` does."""
    bucket, _key = Bucket.of(outputs, endpoint)
    for attempt, lot in OutputsBucket(outputs, endpoint).attempts_of(job_id):
        url = attempt_url(outputs, job_id, attempt.task_id, attempt.epoch)
        folder = scratch / str(attempt.task_id) / str(attempt.epoch)
        for found in lot.objects:
            if found.key.endswith(".json"):
                bucket.download(found.key, folder / found.key.rpartition("/")[2])
        for marker in find_markers(folder):
            yield FoundShard(attempt, marker, url=url)


def prove_stored(shard: FoundShard, endpoint: str | None, scratch: Path) -> None:
    """Fetch a shard from its bucket and read it.

    Raises CorruptFile unless all of its files are the ones that its marker names, and as `Bucket` does.
    """
    record = shard.marker.record
    dataset = in_bucket([(shard.place, record)], endpoint, scratch / "proven")
    assert dataset is not None
    try:
        _prove(dataset.bring(record.number, *WHOLE), record)
    finally:
        dataset.close()


def bring_back(layout: Layout, shard: FoundShard) -> None:
    """Read a shard again, and let it lie in the folder of its attempt, if it is not there.

    Raises CorruptFile unless all of its files are the ones that its marker names, and DiskFull.
    """
    assert shard.lies_in is not None
    _prove(shard.lies_in, shard.marker.record)
    link_shard(shard.marker.record, shard.lies_in, layout.root / shard.folder.path)


def _prove(folder: Path, record: ShardRecord) -> None:
    table = NamedDigest(record.parquet, record.parquet_sha256, record.parquet_bytes)
    for file in (table, *FORMATS[record.format].files(folder, record)):
        path = folder / file.name
        if not path.is_file():
            raise CorruptFile(f"{path} is missing")
        if sha256_file(path) != file.sha256:
            raise CorruptFile(f"{path} has changed: its SHA-256 is not the one in the marker")

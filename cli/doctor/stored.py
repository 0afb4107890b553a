"""Shards that rows say lie in a bucket: whether they are there, with their sizes, and (when asked) their very bytes."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from db.tables.published import Shard
from storage.atomic import sha256_file
from storage.places import INDEX_FILE, WHOLE, dataset_url, in_bucket
from storage.records import ShardRecord
from storage.s3.bucket import Bucket

LISTINGS = 16  # of attempts, kept at a time


class StoredShards:
    """Looks for the objects of rows.  Methods raise CorruptFile for a row that is none, and as `Bucket` does."""

    def __init__(self, endpoint: str | None, *, deep: bool) -> None:
        self._endpoint = endpoint
        self._deep = deep
        self._sizes = lru_cache(maxsize=LISTINGS)(self._list)
        self.jobs: dict[int, str] = {}  # whose data sets lie in a bucket, and where

    def sizes(self, row: Shard) -> list[tuple[str, int | None, int | None]]:
        """Of each object of a shard its URL, the bytes that it has, and those that were recorded."""
        self.jobs[row.job_id] = dataset_url(row.folder)
        record = ShardRecord.from_json(row.record)
        recorded = {record.tar: record.tar_bytes, record.parquet: record.parquet_bytes, record.marker: None}
        found = self._sizes(row.folder)
        return [(f"{row.folder}/{name}", found.get(name), size_bytes) for name, size_bytes in recorded.items()]

    def changed(self, row: Shard) -> Iterator[str]:
        """URLs of objects that are not the ones recorded, by their hashes; reads them when that was asked for."""
        if not self._deep:
            return
        record = ShardRecord.from_json(row.record)
        with TemporaryDirectory(prefix="pixmill-") as scratch:
            dataset = in_bucket([(row.folder, record)], self._endpoint, Path(scratch) / "fetched")
            assert dataset is not None
            folder = dataset.bring(record.number, *WHOLE)
            for name, sha256 in ((record.tar, record.tar_sha256), (record.parquet, record.parquet_sha256)):
                if sha256_file(folder / name) != sha256:
                    yield f"{row.folder}/{name}"

    def has_index(self, job_id: int) -> bool:
        """Whether dataset.json lies beside the shards of a job."""
        bucket, key = Bucket.of(self.jobs[job_id], self._endpoint)
        return any(found.key == f"{key}/{INDEX_FILE}" for found in bucket.objects(f"{key}/{INDEX_FILE}"))

    def _list(self, folder: str) -> Mapping[str, int]:
        bucket, key = Bucket.of(folder, self._endpoint)
        return {found.key.removeprefix(f"{key}/"): found.size_bytes for found in bucket.objects(f"{key}/")}

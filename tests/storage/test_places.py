"""Data sets in a bucket of a real S3 server, read by the very code that reads folders."""

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from pixmill.errors import ConfigError, CorruptFile, NotFound, PermissionDenied, StorageError, StoreUnreachable
from storage.atomic import sha256_file
from storage.exporting import Wanted, export_dataset
from storage.first_images import read_first_images
from storage.index import DatasetIndex
from storage.outputs import read_dataset_index, verify_output, write_dataset_index
from storage.places import BucketDataset, CopiedDataset, attempt_url, in_bucket, upload_shard
from storage.querying import find_rows, parse_condition
from storage.records import ShardRecord
from storage.s3.bucket import PART_BYTES, Bucket
from storage.shards import read_images, read_rows
from tests.s3 import S3Server
from tests.storage.samples import publish

SLOW_DOWN = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 40\r\n\r\n<Error><Code>SlowDown</Code></Error>    "
OF_THREE_PARTS = 2 * PART_BYTES + 1000


def ignore(_size_bytes: int) -> None:
    """What is told of the progress of an upload."""


def keys(bucket: Bucket) -> list[str]:
    return [found.key for found in bucket.objects("")]


@pytest.fixture
def stored(bucket: Bucket, tmp_path: Path) -> tuple[BucketDataset, list[ShardRecord], Path]:
    """A data set as a job leaves it in a bucket, shard 1 by another attempt; its records, and the same in a folder."""
    records = publish(tmp_path / "local")
    write_dataset_index(tmp_path / "local", records, name="cats")
    publish(tmp_path / "attempt")
    shards = []
    for record in records:
        url = attempt_url(bucket.url("made"), 5, 1, 1 + record.number % 2)
        upload_shard(tmp_path / "attempt", record, url, bucket, ignore)
        shards.append((url, record))
    dataset = in_bucket(shards, bucket.endpoint, tmp_path / "scratch")
    assert dataset is not None
    (tmp_path / "beside").mkdir()
    write_dataset_index(tmp_path / "beside", records, name="cats", place=dataset)
    dataset.put_beside(tmp_path / "beside", ignore)
    return dataset, records, tmp_path / "local"


def test_a_shard_is_sent_whole_its_marker_last_and_leaves_the_disk(
    stored: object, bucket: Bucket, tmp_path: Path
) -> None:
    assert keys(bucket)[:4] == [
        "made/5/1/1/shard-000000.json", "made/5/1/1/shard-000000.parquet", "made/5/1/1/shard-000000.tar",
        "made/5/1/1/shard-000002.json",
    ]  # fmt: skip
    assert keys(bucket)[-1] == "made/5/dataset.json"
    assert not list((tmp_path / "attempt").iterdir())


def test_a_data_set_in_a_bucket_reads_like_one_in_a_folder(
    stored: tuple[BucketDataset, list[ShardRecord], Path], tmp_path: Path
) -> None:
    dataset, records, local = stored
    assert verify_output(dataset, records) == verify_output(local, records)
    np.testing.assert_array_equal(
        read_images(dataset, 1, start=3, count=4)[0], read_images(local, 1, start=3, count=4)[0]
    )
    assert read_rows(dataset, 2) == read_rows(local, 2)
    count = records[0].count + 2
    there, here = ([(place, record.number) for record in records] for place in (dataset, local))
    np.testing.assert_array_equal(read_first_images(there, count)[0], read_first_images(here, count)[0])
    assert len(read_first_images(there, count)[0]) == count
    conditions = [parse_condition("label == dog")]
    assert list(find_rows(dataset, records, conditions)) == list(find_rows(local, records, conditions))
    export_dataset(dataset, records, tmp_path / "copy", Wanted(format_name="webdataset"))
    names = [name for record in records for name in (record.tar, record.parquet)]
    assert [sha256_file(tmp_path / "copy" / name) for name in names] == [sha256_file(local / name) for name in names]
    held = {path.name for path in (tmp_path / "scratch").iterdir()}
    assert held == {"beside", "shard-000002"}  # one shard at a time
    dataset.close()
    assert not (tmp_path / "scratch").exists()


def test_what_is_missing_or_changed_in_a_bucket_is_found(
    stored: tuple[BucketDataset, list[ShardRecord], Path], bucket: Bucket, tmp_path: Path
) -> None:
    dataset, records, local = stored
    bucket.delete(["made/5/1/2/shard-000001.parquet"])
    (tmp_path / "other").write_bytes((local / records[2].tar).read_bytes()[:-512] + bytes(511) + b"x")
    bucket.upload(tmp_path / "other", "made/5/1/1/shard-000002.tar", ignore)
    problems = verify_output(dataset, records).problems
    url = bucket.url("made/5/1/2/shard-000001.parquet")
    assert problems == (f"{url} is missing", "shard-000002.tar has changed: its SHA-256 is not the one recorded")
    with pytest.raises(CorruptFile, match="has no shard 7"):
        read_rows(dataset, 7)
    dataset.close()
    for name in (records[0].marker, records[0].parquet):
        bucket.upload(tmp_path / "other", f"made/5/1/1/{name}", ignore)
    told = [problem.partition(": ")[0] for problem in verify_output(dataset, records[:1]).problems]
    url = bucket.url("made/5/1/1")
    assert {f"{url}/{records[0].marker}", f"{url}/{records[0].parquet} is no readable Parquet file"} <= set(told)


def test_a_copy_of_a_bucket_is_verified_where_it_lies(
    stored: tuple[BucketDataset, list[ShardRecord], Path], bucket: Bucket, tmp_path: Path
) -> None:
    _dataset, records, _local = stored
    for found in bucket.objects("made/5/"):
        bucket.download(found.key, tmp_path / "copy" / found.key.removeprefix("made/5/"))
    index = read_dataset_index(tmp_path / "copy")
    assert index.folders == ("1/1", "1/2", "1/1")
    document = index.to_json()
    document["shards"][1]["folder"] = "../2"
    with pytest.raises(CorruptFile, match=r"a shard lies in '\.\./2'"):
        DatasetIndex.from_json(document)
    del document["shards"][1]["folder"]
    with pytest.raises(CorruptFile, match="2 of 3 shards say where they lie"):
        DatasetIndex.from_json(document)
    below = {record.number: folder for record, folder in zip(index.shards, index.folders, strict=True)}
    assert verify_output(CopiedDataset(tmp_path / "copy", below), records).is_intact


def test_shards_in_several_places_are_no_data_set(
    stored: tuple[BucketDataset, list[ShardRecord], Path], tmp_path: Path
) -> None:
    _dataset, records, _local = stored
    assert in_bucket([("runs/5/1/1", records[0])], None, tmp_path) is None
    with pytest.raises(StorageError, match="several places: s3://pictures/made/5, the storage root"):
        in_bucket([("s3://pictures/made/5/1/1", records[0]), ("runs/5/1/1", records[1])], None, tmp_path)


def test_a_large_file_is_sent_in_parts_and_an_upload_that_is_stopped_leaves_none(
    bucket: Bucket, tmp_path: Path
) -> None:
    file = tmp_path / "large"
    file.write_bytes(np.random.default_rng(0).bytes(OF_THREE_PARTS))
    sent: list[int] = []
    bucket.upload(file, "large", sent.append)
    assert sent == [PART_BYTES, PART_BYTES, 1000]
    bucket.download("large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()

    def stop(_size_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bucket.upload(file, "stopped", stop)
    assert keys(bucket) == ["large"]
    assert list(bucket.unfinished("")) == []


def test_refusals_say_what_to_do(
    bucket: Bucket, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(NotFound, match=f"there is no bucket 'nowhere' at {s3_server.url}"):
        Bucket("nowhere", s3_server.url).upload(tmp_path / "file", "a", ignore)
    nowhere = BucketDataset("s3://pictures/made/5", "http://127.0.0.1:1", [], tmp_path / "scratch")
    with pytest.raises(StoreUnreachable, match="cannot list s3://pictures/made/5/: Could not connect"):
        verify_output(nowhere, [])  # nothing is wrong with the data set
    s3_server.check_credentials(strictly=True)
    try:
        with pytest.raises(PermissionDenied, match="refuses the credentials") as refused:
            Bucket(bucket.name, s3_server.url).upload(tmp_path / "file", "a", ignore)
    finally:
        s3_server.check_credentials(strictly=False)
    assert "something" not in refused.value.message  # the secret
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="there are no credentials"):
        list(Bucket(bucket.name, s3_server.url).objects(""))


def test_what_may_not_be_deleted_says_so(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    bucket.upload(tmp_path / "file", "kept", ignore)
    kept = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{bucket.name}/*",
    }
    bucket._call("put_bucket_policy", "", Key=None, Policy=json.dumps({"Version": "2012-10-17", "Statement": [kept]}))
    with pytest.raises(PermissionDenied, match=f"cannot delete {bucket.url('kept')}: Access Denied") as refused:
        bucket.delete(["kept"])
    assert refused.value.hint == f"allow this account to list, read, write and delete in {bucket.url('kept')}"


@pytest.mark.usefixtures("s3_credentials")
def test_a_request_is_tried_as_often_as_it_is_said_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.s3.bucket.ATTEMPTS", 1)
    counted: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        tries = threading.Thread(target=count_and_refuse, args=(server, counted))
        tries.start()
        with pytest.raises(StoreUnreachable, match="cannot list s3://pictures/"):
            list(Bucket("pictures", f"http://127.0.0.1:{server.getsockname()[1]}").objects(""))
        server.shutdown(socket.SHUT_RDWR)
        tries.join()
    assert len(counted) == 1


def count_and_refuse(server: socket.socket, counted: list[bytes]) -> None:
    """A server that has no time for anybody."""
    with suppress(OSError):  # shut
        while True:
            client, _address = server.accept()
            with client:
                counted.append(client.recv(65536))
                client.sendall(SLOW_DOWN)


def test_without_s3fs_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(ConfigError, match="s3fs is not installed") as error:
        list(Bucket("pictures", None).objects(""))
    assert error.value.hint == "pip install 'pixmill[s3]'"

"""The commands of data sets that lie in a bucket of a real S3 server."""

import hashlib
import time
from pathlib import Path

import pytest
from sqlalchemy import delete

from client.gallery import Gallery
from client.workspace import Workspace
from db.leases import Lease, finish, publish_shard
from db.tables.jobs import Outcome
from db.tables.published import Shard
from storage.index import write_dataset_index
from storage.places import BucketDataset, attempt_url, upload_shard
from storage.records import ShardRecord
from storage.s3.bucket import Bucket
from tests import rows
from tests.cli.running import Runner
from tests.cli.world import World
from tests.conftest import Broker


def ignore(_size_bytes: int) -> None:
    """What is told of the progress of an upload."""


def keys(bucket: Bucket) -> list[str]:
    return [found.key for found in bucket.objects("")]


@pytest.fixture
def outputs(world: World, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of job 2, a data set of 40 images in two shards, in a bucket."""
    monkeypatch.setenv("PIXMILL_STORAGE_OUTPUTS", bucket.url("made"))
    monkeypatch.setenv("PIXMILL_STORAGE_ENDPOINT", str(bucket.endpoint))
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generate("digits-vae")
    lease = world.claim(worker)
    shards = [send(world, bucket, lease, number) for number in range(2)]
    world.succeed(lease, {"images": 40, "shards": 2, "seconds": 2.0})
    lease = world.claim(worker)
    url = bucket.url(f"made/{job_id}")
    dataset = BucketDataset(url, bucket.endpoint, shards, world.root / "scratch")
    folder = world.root / "beside"
    folder.mkdir()
    write_dataset_index(folder, [record for _, record in shards], name="images", place=dataset)
    dataset.put_beside(folder, ignore)
    dataset.close()
    size = sum(record.tar_bytes + record.parquet_bytes for _, record in shards)
    facts = {"images": 40, "bytes": size, "shards": 2, "model": "digits-vae@1"}
    world.succeed(lease, {"output": url, "index": f"{url}/dataset.json", "contact_sheet": "", **facts})
    return url


def send(world: World, bucket: Bucket, lease: Lease, number: int) -> tuple[str, ShardRecord]:
    """A shard, sent and published as a worker does."""
    url = attempt_url(bucket.url("made"), lease.job_id, lease.task_id, lease.epoch)
    record: ShardRecord
    record, folder = world.written_shard(lease, number, 20)
    upload_shard(folder, record, url, bucket, ignore)
    world.database.transact(lambda session: publish_shard(session, lease, world.shard_row(lease, record, url)))
    return url, record


def test_the_commands_know_data_sets_in_a_bucket(outputs: str, run: Runner, tmp_path: Path) -> None:
    (line,) = run("output", "ls", "-o", "json").json["items"]
    assert (line["folder"], line["shards"]) == (outputs, 2)
    assert outputs in run("output", "ls").out
    assert run("output", "show", 2, "-o", "json").json["item"]["manifest"] == f"{outputs}/dataset.json"
    assert ["index", f"{outputs}/dataset.json"] in [line.split() for line in run("job", "show", 2).lines]
    assert run("output", "query", 2, "--where", "class == one", "--count").out == "20\n"
    verified = run("output", "verify", 2)
    assert (verified.code, verified.err) == (0, "output 2: 40 images in 2 shards: intact\n")
    copied = run("output", "export", 2, "--to", tmp_path / "copy")
    assert copied.code == 0, copied.err
    assert run("output", "verify", "--folder", tmp_path / "copy").code == 0
    report = run("job", "report", 2, "--out", tmp_path / "report.html")
    assert report.code == 0, report.err
    assert outputs in (tmp_path / "report.html").read_text()


def test_lost_rows_come_back_from_a_bucket(outputs: str, run: Runner, world: World, bucket: Bucket) -> None:
    world.database.transact(lambda session: session.execute(delete(Shard)))
    found = run("output", "rebuild", 2)
    assert (found.code, found.out) == (0, ""), found.err
    assert "2 rows restored" in found.err
    assert run("output", "verify", 2).code == 0
    world.database.transact(lambda session: session.execute(delete(Shard)))
    (world.root / "bad").write_bytes(b"no table")
    bucket.upload(world.root / "bad", "made/2/2/1/shard-000001.parquet", ignore)
    found = run("output", "rebuild", 2)
    assert found.code == 1
    assert "shard-000001.parquet has changed" in found.out


@pytest.mark.long
def test_a_removed_data_set_leaves_nothing_in_the_bucket(outputs: str, run: Runner, bucket: Bucket) -> None:
    removed = run("output", "rm", 2, "-y", "-o", "json").json["item"]
    assert removed["files"] == 7
    assert keys(bucket) == []
    assert run("output", "verify", 2).code == 3


def test_garbage_in_a_bucket_goes_and_what_rows_need_stays(
    outputs: str, run: Runner, world: World, bucket: Bucket, tmp_path: Path
) -> None:
    before = keys(bucket)
    assert run("gc", "plan", "-o", "json").json["item"]["items"] == []
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    left = {
        "made/2/2/1/shard-000007.tar": "unpublished",  # a shard that its attempt never published
        "made/2/2/9/shard-000000.tar": "orphan",  # of an attempt that nobody knows
        "made/77/7/1/shard-000000.tar": "orphan",
    }
    for key in left:
        bucket.upload(file, key, ignore)
    stays = ["made/notes.txt", "made/78/dataset.json"]  # not ours, and a data set that a lost job has made
    for key in stays:
        bucket.upload(file, key, ignore)
    refused = run("gc", "run", "--grace", "0s", "-y")
    assert (refused.code, "restored from a copy" in refused.err) == (4, True), refused.err
    time.sleep(1.0)  # the server's times are of whole seconds
    rows.say_restored(world.database)
    bucket._call("create_multipart_upload", "made/2/2/1/shard-000008.tar")  # a process that was killed meanwhile
    plan = run("gc", "plan", "--grace", "0s", "-o", "json").json["item"]
    assert {item["path"].removeprefix(bucket.url("")): item["reason"] for item in plan["items"]} == {
        **left,
        "made/2/2/1/shard-000008.tar": "temporary",
    }
    young = run("gc", "plan", "-o", "json").json["item"]
    assert {item["reason"] for item in young["items"]} == {"unpublished", "temporary"}
    done = run("gc", "run", "--grace", "0s", "-y")
    assert (done.code, "removed 4 files" in done.err) == (0, True), done.err
    assert keys(bucket) == sorted([*before, *stays])
    assert list(bucket.unfinished("")) == []


@pytest.mark.long
def test_a_running_attempt_keeps_what_it_has_sent(world: World, run: Runner, bucket: Bucket, outputs: str) -> None:
    world.generate("digits-vae")
    lease = world.claim(world.worker("cuda:0"))
    url = attempt_url(bucket.url("made"), lease.job_id, lease.task_id, lease.epoch)
    record, folder = world.written_shard(lease, 0, 20)
    upload_shard(folder, record, url, bucket, ignore)
    assert run("gc", "plan", "--grace", "0s", "-o", "json").json["item"]["items"] == []
    world.database.transact(lambda session: finish(session, lease, Outcome.CANCELLED))
    assert len(run("gc", "plan", "--grace", "0s", "-o", "json").json["item"]["items"]) == 3


def findings(run: Runner) -> dict[str, dict[str, str]]:
    return {line["part"]: line for line in run("doctor", "-o", "json").json["item"]["findings"]}


@pytest.mark.long
def test_the_doctor_looks_into_the_bucket(
    outputs: str, run: Runner, bucket: Bucket, valkey: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXMILL_BROKER_URL", valkey.url)  # files are examined when all servers answer
    found = findings(run)
    assert found["bucket"]["state"] == "ok", found["bucket"]
    assert found["shards"]["state"] == "ok", found["shards"]
    bucket.delete(["made/2/2/1/shard-000001.tar", "made/2/dataset.json"])
    found = findings(run)
    assert f"{outputs}/2/1/shard-000001.tar is missing" in found["shards"]["detail"]
    assert f"{outputs}/dataset.json is missing" in found["outputs"]["detail"]
    monkeypatch.setenv("PIXMILL_STORAGE_OUTPUTS", "s3://nowhere/made")
    found = findings(run)
    assert found["bucket"]["state"] == "problem"
    assert "there is no bucket 'nowhere'" in found["bucket"]["detail"]


def test_images_in_a_bucket_can_be_looked_at(outputs: str, world: World) -> None:
    gallery = Gallery(world_space := Workspace(home=world.home))
    with world.database.read() as session:
        found = gallery.find(session, 2)
    assert str(found.output.place) == outputs
    pictures = [gallery.picture(found, index) for index in (3, 27, 3)]
    assert [hashlib.sha256(picture.content).hexdigest() == picture.sha256 for picture in pictures] == [True] * 3
    assert [row.index for row in gallery.rows(found, 30, 3, 1)] == [31, 33, 35]
    assert any(world_space.scratch.rglob("*.tar"))
    scratch = world_space.scratch
    world_space.close()
    assert not scratch.exists()

"""Data sets in a bucket: made by real processes, whose server or worker is killed in the middle of an upload."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from s3fs import S3FileSystem

from cli.main import command
from db.tables.jobs import Outcome
from pixmill.specs import AnimateSpec, GenerateSpec
from pixmill.states import State
from storage.index import read_dataset_index
from storage.places import in_bucket
from storage.records import ShardRecord
from storage.s3.bucket import Bucket
from storage.shards import read_images
from storage.verify import verify_output
from tests.s3 import Gate, S3Server
from tests.worker.conftest import digits_model, small_generate
from tests.worker.desks import Listener
from tests.worker.line import Line
from tests.worker.test_kinds_generate import exported, generator
from worker.assignment import ShardInput
from worker.parent.inputs import model_input


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Listener]]:
    """Makes a desk of job 1: a task of all shards of 100 images, or another one."""
    made: list[Listener] = []
    model = exported(tmp_path, generator())

    def new(root: Path = tmp_path, **fields: Any) -> Listener:
        values: dict[str, Any] = {"role": "generate", "params": {"first_shard": 0, "shards": 3}, "model": model}
        folder = f"runs/1/2/{len(made) + 1}"
        made.append(Listener(root, epoch=len(made) + 1, **{**values, "folder": folder, **fields}))
        return made[-1]

    yield new
    for listener in made:
        listener.close()


def spec_of(**changes: Any) -> dict[str, Any]:
    return GenerateSpec(**{"model": "one@1", "n": 100, "shard_size": 40, **changes}).model_dump()


def shards_of(listener: Listener) -> tuple[ShardInput, ...]:
    return tuple(ShardInput(folder=said["folder"], record=said["record"]) for said in listener.said("shard"))


def inside(bucket: Bucket) -> dict[str, str]:
    """What an assignment says of a bucket."""
    return {"outputs": bucket.url("made"), "endpoint": str(bucket.endpoint)}


@pytest.mark.parametrize("format_name", ["webdataset", "parquet", "raw"])
def test_shards_of_each_format_have_the_hashes_that_they_have_in_a_folder(
    desk: Callable[..., Listener], bucket: Bucket, tmp_path: Path, format_name: str
) -> None:
    spec = spec_of(format=format_name)
    here, there = desk(spec=spec), desk(spec=spec, **inside(bucket))
    assert [listener.run().answer["say"] for listener in (here, there)] == ["succeeded"] * 2
    local, stored = shards_of(here), shards_of(there)
    assert [shard.record for shard in stored] == [shard.record for shard in local]
    assert {shard.folder for shard in stored} == {bucket.url("made/1/2/2")}
    assert not list(there.desk.folder.glob("shard-*"))
    assembling = desk(spec=spec, role="assemble", shards=stored, **inside(bucket))
    answer = assembling.run().answer
    assert answer["say"] == "succeeded", answer
    assert (answer["result"]["output"], answer["result"]["images"]) == (bucket.url("made/1"), 100)
    assert (tmp_path / answer["result"]["contact_sheet"]).is_file()
    assert not [path for path in assembling.desk.folder.iterdir() if path.name.startswith(".")]
    records = [ShardRecord.from_json(shard.record) for shard in stored]
    dataset = in_bucket(
        zip([shard.folder for shard in stored], records, strict=True), bucket.endpoint, tmp_path / "got"
    )
    assert dataset is not None
    assert verify_output(dataset, records).problems == ()
    assert read_dataset_index(dataset.bring_beside()).folders == ("2/2",) * 3
    np.testing.assert_array_equal(read_images(dataset, 2)[0], read_images(here.desk.folder, 2)[0])


def test_one_client_sends_all_shards_while_one_thread_alone_reads_the_line_to_the_parent(
    desk: Callable[..., Listener], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = desk(spec=spec_of(n=2, shard_size=1), **inside(bucket))
    clients: list[S3FileSystem] = []
    connect = S3FileSystem.__init__

    def connect_noted(client: S3FileSystem, **given: Any) -> None:
        clients.append(client)
        connect(client, **given)

    asking: set[threading.Thread] = set()

    def ask() -> bool:
        asking.add(threading.current_thread())
        return False

    monkeypatch.setattr(S3FileSystem, "__init__", connect_noted)
    monkeypatch.setattr(listener.desk, "_should_stop", ask)
    assert listener.run().answer["say"] == "succeeded"
    assert asking == {threading.current_thread()}
    assert (len(listener.said("shard")), len(clients)) == (2, 1)


def test_animations_are_made_of_frames_in_a_bucket(
    desk: Callable[..., Listener], bucket: Bucket, tmp_path: Path
) -> None:
    spec = AnimateSpec(model="one@1", n=2, stops=2, frames=3).model_dump()
    listener = desk(spec=spec, **inside(bucket))
    assert listener.run().answer["say"] == "succeeded"
    answer = desk(spec=spec, role="assemble", shards=shards_of(listener), **inside(bucket)).run().answer
    assert answer["say"] == "succeeded", answer
    names = {found.key.removeprefix("made/1/") for found in bucket.objects("made/1/")}
    assert {"animation-000000.webp", "animation-000001.gif", "animations.json", "dataset.json"} <= names


def test_what_cannot_be_in_a_bucket_or_cannot_be_sent_is_one_line(
    desk: Callable[..., Listener], bucket: Bucket
) -> None:
    answer = desk(spec=spec_of(format="files"), **inside(bucket)).run().answer
    assert (answer["reason"], answer["message"].split(",")[0]) == (
        "UserError",
        "format files is a folder for each class",
    )
    nowhere = {"outputs": "s3://nowhere/made", "endpoint": bucket.endpoint}
    answer = desk(spec=spec_of(), **nowhere).run().answer
    assert (answer["reason"], answer["hint"]) == ("Error", "make it, or correct storage.outputs")
    assert answer["message"] == f"there is no bucket 'nowhere' at {bucket.endpoint}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[S3Server, Gate]]:
    """A server of this module's own, and the gate before it."""
    server = S3Server(tmp_path_factory.mktemp("s3") / "log")
    server.start()
    gate = Gate(server)
    yield server, gate
    gate.stop()
    server.kill()


def expected(line: Line, job: int) -> list[dict[str, Any]]:
    """The records of the same shards, made in this process and left in a folder."""
    with line.database.read() as session:
        model = model_input(session, "digits@1")
    listener = Listener(
        line.settings.storage_root, role="generate", spec=line.job(job).spec, params={}, model=model, folder="local"
    )
    assert listener.run().answer["say"] == "succeeded"
    records = [said["record"] for said in listener.said("shard")]
    listener.close()
    return records


def names_of(record: dict[str, Any]) -> set[str]:
    known = ShardRecord.from_json(record)
    return {known.tar, known.parquet, known.marker}


def asked(line: Line, bucket: Bucket, *arguments: str) -> Any:
    """What a command of the line's home prints, as JSON."""
    settings = {"PIXMILL_HOME": str(line.home), "PIXMILL_DATABASE_URL": line.settings.database_url}
    settings |= {"PIXMILL_STORAGE_OUTPUTS": bucket.url("made"), "PIXMILL_STORAGE_ENDPOINT": str(bucket.endpoint)}
    answer = CliRunner().invoke(command, [*arguments, "-o", "json"], env=settings)
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)["item"]


@pytest.mark.long
@pytest.mark.usefixtures("s3_credentials")
def test_a_server_or_a_worker_that_is_killed_in_the_middle_of_an_upload_costs_no_image(
    site: tuple[S3Server, Gate], own_line: Callable[..., Line]
) -> None:
    server, gate = site
    bucket = server.new_bucket("pictures")
    line = own_line(scheduler__lease_seconds=3.0, storage__outputs=bucket.url("made"), storage__endpoint=gate.url)
    model = digits_model(line)

    gate.close_at(b"PUT /pictures/made/.*shard-000000.tar")
    job = line.submit(small_generate(model), retries=50, retry_seconds=1.0)
    line.wait_for(gate.has_closed.is_set, job)
    server.kill()
    gate.open()
    records = expected(line, job)
    line.wait_for(lambda: line.attempts(job)[0].outcome is Outcome.FAILED, job)
    assert f"cannot write {bucket.url('made')}/{job}/" in str(line.attempts(job)[0].message)
    assert not line.job(job).state.is_terminal
    server.start()
    server.new_bucket("pictures")
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    assert [shard.record for shard in line.shards(job)] == records

    gate.close_at(b"PUT /pictures/made/.*shard-000001.tar")
    job = line.submit(small_generate(model))
    line.wait_for(lambda: gate.has_closed.is_set() and line.shards(job), job)
    line.kill_worker()
    gate.open()
    line.start()
    assert line.wait(job) is State.SUCCEEDED, line.story(job)
    shards = line.shards(job)
    assert [shard.record for shard in shards] == records
    assert [shard.lease_epoch for shard in shards[:2]] == [1, 2]
    assert asked(line, bucket, "output", "verify", str(job))["outputs"][0]["problems"] == []
    # Each object belongs to a published shard, lies beside them, or is what `gc` removes.
    needed = {f"{shard.folder}/{name}" for shard in shards for name in names_of(shard.record)}
    found = {bucket.url(one.key) for one in bucket.objects(f"made/{job}/") if one.key.count("/") > 2}
    waste = {item["path"] for item in asked(line, bucket, "gc", "plan", "--grace", "0s")["items"]}
    assert needed == found - waste

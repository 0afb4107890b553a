import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixmill.errors import DiskFull, StorageError
from pixmill.specs import TrainSpec
from storage.checkpoints import SavedFile
from storage.shards import ShardRecord
from tests.worker.desks import Listener
from worker.device.journal import Journal
from worker.device.lines import LineFile


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(tmp_path)
    yield made
    made.close()


def test_a_line_is_complete_once_it_is_added(tmp_path: Path) -> None:
    path = tmp_path / "run" / "losses.jsonl"
    file = LineFile(path)
    assert not path.parent.exists()
    file.add({"images": 64})
    assert path.read_text() == '{"images": 64}\n'
    file.add({"images": 128})
    file.close()
    file.add({"images": 192})
    file.close()
    assert [json.loads(line)["images"] for line in path.read_text().splitlines()] == [64, 128, 192]


def test_lines_that_are_not_wanted_are_left_out(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "losses.jsonl")
    file.keep(lambda line: "images" not in line)
    for images in (64, 128, 192):
        file.add({"images": images})
    file.keep(lambda line: line["images"] <= 128)
    file.add({"images": 130})
    file.close()
    assert (tmp_path / "losses.jsonl").read_text() == '{"images": 64}\n{"images": 128}\n{"images": 130}\n'


def test_a_full_disk_is_named() -> None:
    file = LineFile(Path("/dev/full"))
    with pytest.raises(DiskFull, match="cannot write /dev/full"):
        file.add({"images": 64})
    file.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write "):
        Journal(tmp_path / "run").add("begin")


def test_what_is_published_stands_in_the_journal(listener: Listener) -> None:
    before = time.time()
    listener.desk.journal_begin("cpu")
    listener.desk.publish_checkpoint("best", SavedFile("runs/1/2/3/state.pt", "ab" * 32, 123), 640, 0.5)
    begin, checkpoint = listener.journal()
    assert before - 1 <= begin.pop("at") <= time.time()
    assert begin == {"what": "begin", "role": "train", "epoch": 3, "pid": os.getpid(), "device": "cpu"}
    assert checkpoint.pop("at") >= before - 1
    assert checkpoint == {
        "what": "checkpoint",
        "kind": "best",
        "path": "runs/1/2/3/state.pt",
        "sha256": "ab" * 32,
        "images_seen": 640,
    }


def test_a_shard_stands_in_the_journal_before_it_is_announced(listener: Listener) -> None:
    record = ShardRecord(
        number=7,
        first_index=0,
        count=1,
        tar_sha256="ab" * 32,
        tar_bytes=1,
        parquet_sha256="cd" * 32,
        parquet_bytes=1,
    )
    listener.channel.close()  # the parent is gone
    with pytest.raises(OSError, match="Bad file descriptor"):
        listener.desk.publish_shard(record, lambda _size_bytes: None)
    (entry,) = listener.journal()
    assert (entry["what"], entry["number"], entry["tar_sha256"]) == ("shard", 7, "ab" * 32)


def test_an_attempt_is_told_from_its_begin_to_its_end(tmp_path: Path) -> None:
    spec = TrainSpec(
        model="cnn", dataset="digits", image_size=8, images=64, batch_size=16, options={"width": 4, "feature_size": 8}
    )
    listener = Listener(tmp_path, spec=spec.model_dump(), checkpoint_seconds=0.0)
    assert listener.run().answer["say"] == "succeeded"
    entries = listener.journal()
    assert [entries[0]["what"], entries[1]["what"], entries[-1]["what"]] == ["begin", "resumed", "end"]
    assert (entries[1]["path"], entries[1]["images_seen"], entries[-1]["how"]) == (None, 0, "succeeded")
    announced = [(message["kind"], message["path"], message["sha256"]) for message in listener.said("checkpoint")]
    written = [entry for entry in entries if entry["what"] == "checkpoint"]
    assert [(entry["kind"], entry["path"], entry["sha256"]) for entry in written] == announced
    assert {"last", "best"} == {kind for kind, _path, _sha256 in announced}
    listener.close()


def test_a_failure_stands_at_the_end(tmp_path: Path) -> None:
    spec = TrainSpec(model="cnn", dataset="folder:/no/such/folder", images=64)
    listener = Listener(tmp_path, spec=spec.model_dump())
    assert listener.run().answer["reason"] == "DatasetMissing"
    last = listener.journal()[-1]
    assert (last["what"], last["how"], last["reason"]) == ("end", "failed", "DatasetMissing")
    listener.close()
